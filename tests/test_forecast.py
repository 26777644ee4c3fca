"""What ``plan`` foretells is what ``render`` then asks for."""

import json
from pathlib import Path
from typing import Any

import pytest
from golden import render, timeline
from media import make_source
from origin import Reply
from packaged import package, serving
from test_file_render import FORMS, convert

from clipcut.cli import run
from clipcut.sources.file import index

pytestmark = pytest.mark.media

CLIPS = [
    {"video_id": "v", "start": start, "end": end}
    for start, end in ((0.5, 2), (3.5, 5.2), (4, 5), (9.5, 9.97), (8, 10), (13, 14.5))
]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A numbered source of 16 s."""
    return make_source(
        tmp_path_factory.mktemp("forecast") / "source.mp4", ffmpeg=packaged, source_id=1, seconds=16, gop=30
    )


def foretold(folder: Path, document: dict[str, Any], capfd: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    """Return what ``plan --json`` says of a timeline."""
    path = folder / "plan.json"
    path.write_text(json.dumps(document))
    assert 0 == run(["plan", str(path), "--json", *flags])
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    return found


@pytest.mark.parametrize("form", ["HLS", *(form for form in FORMS if not form.startswith("WebM"))])
def test_what_was_foretold_is_what_is_fetched(
    tmp_path: Path, source: Path, packaged: str, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """Requests and bytes are equal on a healthy origin; only what HLS doesn't say stays open."""
    www = tmp_path / "www"
    if form == "HLS":
        name = package(source, www, ffmpeg=packaged, seconds=4).name
    else:
        suffix, args = FORMS[form]
        name = convert(source, www / f"video.{suffix}", packaged, args).name
    with serving(www) as origin:
        document = timeline(CLIPS, {"v": f"{origin.url}/{name}"})
        plan = foretold(tmp_path, document, capfd)
        asked = len(origin.requests)
        rendered = render(tmp_path, document, ffmpeg=packaged)

    stats = rendered.report["clip_stats"]
    assert 0 == rendered.exit_code
    assert len(origin.requests) - asked == stats["requests"] == plan["totals"]["requests"]
    assert stats["bytes_fetched"] == plan["totals"]["bytes"] or (form == "HLS" and plan["totals"]["bytes"] is None)
    assert asked < stats["requests"]  # a plan fetches no media
    assert {"remote"} == {clip["rung"] for clip in plan["clips"]}
    shared = [[piece["shared"] for piece in clip["segments"]] for clip in plan["clips"]]
    assert any(shared[1])
    assert form.startswith("transport") or not any(shared[5][1 if form.startswith(("frag", "Matr")) else 0 :])


@pytest.mark.parametrize("form", ["moov at the end", "transport stream, as a whole"])
def test_a_large_file_is_asked_for_in_parts_as_foretold(
    tmp_path: Path,
    source: Path,
    packaged: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    """Requests and bytes are equal where one request isn't enough for a range."""
    monkeypatch.setattr(index, "PART", 40_000)
    suffix, args = FORMS[form]
    name = convert(source, tmp_path / "www" / f"video.{suffix}", packaged, args).name
    with serving(tmp_path / "www") as origin:
        document = timeline(CLIPS, {"v": f"{origin.url}/{name}"})
        totals = foretold(tmp_path, document, capfd)["totals"]
        stats = render(tmp_path, document, ffmpeg=packaged).report["clip_stats"]

    assert (6, 6) == (stats["success_tasks"], totals["clips"])
    assert (stats["requests"], stats["bytes_fetched"]) == (totals["requests"], totals["bytes"])
    assert stats["requests"] > 10


def test_offline_nothing_is_asked_and_unknown_figures_are_null(
    tmp_path: Path, source: Path, packaged: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Local sources are known all the same."""
    clips = [{"video_id": name, "start": 1, "duration": 1} for name in "vwx"]
    with serving(source.parent) as origin:
        sources = {"v": f"{origin.url}/source.mp4", "w": str(source), "x": "nowhere.mp4"}
        plan = foretold(tmp_path, timeline(clips, sources), capfd, "--offline")

    assert [] == origin.requests
    assert {"clips": 3, "requests": None, "bytes": None} == plan["totals"]
    assert [None, "local", "placeholder"] == [clip["rung"] for clip in plan["clips"]]
    assert [None] * 3 == [clip["segments"] for clip in plan["clips"]]


def test_a_source_that_cant_be_had_is_foretold_with_its_reason(
    tmp_path: Path, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The next rung that would hold is named."""
    with serving(source.parent) as origin:
        origin.script("/gone.mp4", Reply(status=404))
        sources = {
            "v": {"url": f"{origin.url}/gone.mp4?token=geheim", "local": str(source)},
            "w": f"{origin.url}/gone.mp4",
        }
        clips = [{"video_id": name, "start": 1, "duration": 1} for name in "vw"]
        plan = foretold(tmp_path, timeline(clips, sources), capfd)

    assert [("local", "http_404"), ("placeholder", "http_404")] == [
        (clip["rung"], clip["reason"]) for clip in plan["clips"]
    ]
    assert "geheim" not in json.dumps(plan)


def test_the_table_says_what_is_to_be_fetched(tmp_path: Path, source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One column more, and a line with the whole."""
    path = tmp_path / "plan.json"
    with serving(source.parent) as origin:
        path.write_text(json.dumps(timeline(CLIPS[:3], {"v": f"{origin.url}/source.mp4"})))
        assert 0 == run(["plan", str(path)])

    lines = capfd.readouterr().out.splitlines()
    assert lines[0].endswith("network")
    assert "1 piece," in lines[2]
    assert lines[2].endswith("1 shared")
    assert lines[-1].startswith("network: 5 requests, 0.")
