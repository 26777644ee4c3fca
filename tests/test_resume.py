"""A render that is killed at any moment goes on where it stopped: nothing torn, nothing left running, nothing twice.

``CLIPCUT_KILL_ROUNDS=25`` kills more often than the ordinary run; ``CLIPCUT_KILL_SEED`` says when.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from golden import Numbered, Rendered, assert_picture, render, timeline
from media import make_source
from origin import Origin, Reply, Seen
from packaged import encrypt, package, read_segments, serving
from real import poll
from reports import read_report

from clipcut.cache.place import cache_info
from clipcut.metrics import read_metrics

pytestmark = pytest.mark.media

ROUNDS = int(os.environ.get("CLIPCUT_KILL_ROUNDS", "4"))
SEED = int(os.environ.get("CLIPCUT_KILL_SEED", "7"))
VIDEOS = ("h0", "h1", "h2", "h3")
MEDIA = {"v": Numbered(1, frames=360), **{name: Numbered(1, frames=360) for name in VIDEOS}}
ORPHAN_S = 20.0
"""How long a child may outlive a clipcut that was killed, in seconds; it is less than two unless much else goes on."""


def clips() -> list[dict[str, Any]]:
    """Return forty short clips: half of them from four playlists, half from a local file."""
    remote = [
        {"id": f"{name}-{n}", "video_id": name, "start": 2.2 * n + 0.3, "duration": 0.4}
        for n in range(5)
        for name in VIDEOS
    ]
    local = [{"id": f"v-{n}", "video_id": "v", "start": 0.5 * n, "duration": 0.4} for n in range(20)]
    return [clip for pair in zip(remote, local, strict=True) for clip in pair]


@attrs.frozen
class Site:
    """Where the media is: an origin with four playlists, a local file; and when each segment plays."""

    origin: Origin
    source: Path
    begins: tuple[tuple[str, float, float], ...]

    def document(self) -> dict[str, Any]:
        """Return the timeline."""
        sources = {name: f"{self.origin.url}/{name}/index.m3u8" for name in VIDEOS} | {"v": str(self.source)}
        return timeline(clips(), sources, path="mix.mp4", width=160, height=90)

    def segments_for(self, wanted: Sequence[dict[str, Any]]) -> set[str]:
        """Return the segments that clips may need, rather too many than too few."""
        found = set()
        for clip in wanted:
            for number, (name, begin, end) in enumerate(self.begins):
                if number == 0 or (begin < clip["start"] + 2 and end > clip["start"] - 2):
                    found.add(f"/{clip['video_id']}/{name}")
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Iterator[Site]:
    """An origin with the four playlists."""
    folder = tmp_path_factory.mktemp("site")
    source = make_source(folder / "v.mp4", ffmpeg=packaged, source_id=1, seconds=12, pattern=False, gop=15)
    segments = read_segments(package(source, folder / "www" / VIDEOS[0], ffmpeg=packaged, seconds=1))
    for name in VIDEOS[1:]:
        shutil.copytree(folder / "www" / VIDEOS[0], folder / "www" / name)
    begins, at = [], 0.0
    for duration, name in segments:
        begins.append((name, at, at + float(duration)))
        at += float(duration)
    with serving(folder / "www") as origin:
        yield Site(origin, source, tuple(begins))


def start(folder: Path, *flags: str) -> subprocess.Popen[bytes]:
    """Start the render in a folder."""
    argv = [sys.executable, "-m", "clipcut", "render", "mix.json", "--log-file", "log", "--log-format", "json"]
    argv += ["--cache-dir", "cache", "--work-dir", "work", "--prom-textfile", "mix.prom", "--concurrency", "4", *flags]
    return subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def events(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines that were logged by now."""
    text = (folder / "log").read_text() if (folder / "log").exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.endswith("}")]


def made(folder: Path) -> list[str]:
    """Return the clips that were made (and not found) by now, each as often as it was."""
    return [line["clip"] for line in events(folder) if line["event"] == "clip.finished" and not line["cached"]]


def living(folder: Path) -> list[int]:
    """Return the processes that work in a folder; one that has ended and waits for its parent doesn't."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(folder).encode() in words and state != "Z":
            found.append(int(process.name))
    return found


def until_gone(folder: Path) -> float:
    """Wait until no child works in a folder any more, and return how long that took, in seconds."""
    began = time.monotonic()
    poll(lambda: not living(folder))
    return time.monotonic() - began


def look(folder: Path, old: bytes) -> None:
    """See that output, report and metrics are the old ones or whole new ones."""
    output, report, metrics = folder / "mix.mp4", folder / "mix.report.json", folder / "mix.prom"
    assert output.read_bytes() == old or b"moov" in output.read_bytes()
    if report.exists():
        assert json.loads(report.read_text())["clip_stats"]["total_tasks"] == 40
    if metrics.exists():
        assert read_metrics(metrics.read_text(), "mix").values


def kill(folder: Path, after: float) -> bool:
    """Start, and kill after so many seconds; return whether it was still at work."""
    with start(folder) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            assert until_gone(folder) < ORPHAN_S
            return True
    assert 0 == process.returncode
    return False


@pytest.fixture(scope="module")
def usual(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, bytes]:
    """How long a render takes that nobody kills, in seconds, and its output."""
    folder = tmp_path_factory.mktemp("usual")
    (folder / "work").mkdir()
    (folder / "mix.json").write_text(json.dumps(site.document()))
    began = time.monotonic()
    with start(folder) as process:
        assert 0 == process.wait(120)
    return time.monotonic() - began, (folder / "mix.mp4").read_bytes()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_render_that_is_killed_goes_on_where_it_stopped(
    tmp_path: Path, site: Site, usual: tuple[float, bytes], packaged: str, number: int
) -> None:
    """Killed once to three times at moments by chance, then left to finish."""
    dice = random.Random(f"{SEED}-{number}")
    moments = [dice.uniform(0, usual[0]) for _ in range(dice.randint(1, 3))]
    print(f"seed {SEED}, round {number}, killed after {moments}")  # noqa: T201
    (tmp_path / "work").mkdir()
    (tmp_path / "mix.json").write_text(json.dumps(site.document()))
    (tmp_path / "mix.mp4").write_bytes(usual[1])
    by_name = {clip["id"]: clip for clip in clips()}
    for moment in [*moments, None]:
        done = set(made(tmp_path))
        site.origin.requests.clear()
        if moment is None:
            with start(tmp_path) as process:
                assert 0 == process.wait(120)
        elif not kill(tmp_path, moment):
            done = set(by_name)
        look(tmp_path, usual[1])
        left = [clip for name, clip in by_name.items() if name not in done]
        asked = {path for path in fetched_whole(site.origin) if not path.endswith(".m3u8")}
        if moment is None or done != set(by_name):
            assert asked <= site.segments_for(left)

    twice = {name for name in made(tmp_path) if made(tmp_path).count(name) > 1}
    assert set() == twice
    report = read_report(tmp_path / "mix.report.json")
    assert (0, 40) == (report["exit_code"], report["clip_stats"]["success_tasks"])
    assert 40 - report["clip_stats"]["cached_tasks"] <= 40 - len(done)
    assert 40 * 12 == assert_picture(Rendered(0, tmp_path / "mix.mp4", report), site.document(), MEDIA, ffmpeg=packaged)
    assert {"work", "cache", "log", "mix.json", "mix.mp4", "mix.prom", "mix.report.json"} == {
        path.name for path in tmp_path.iterdir()
    }
    assert [] == list((tmp_path / "work").iterdir())
    (root,) = (tmp_path / "cache").iterdir()
    assert [] == list((root / "work").iterdir())
    info = cache_info(root)
    assert (40, 0) == (info.clips, info.segments)
    assert [] == re.findall("Traceback", (tmp_path / "log").read_text())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill-9", "term"])
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_segments_of_a_clip_that_was_not_finished_are_not_fetched_again(
    tmp_path: Path, site: Site, packaged: str, number: signal.Signals, is_encrypted: bool
) -> None:
    """Its first segment was there and checked when the second hung; afterwards only the second is asked for."""
    shutil.copytree(site.source.parent / "www" / VIDEOS[0], tmp_path / "www")
    if is_encrypted:
        encrypt_all(tmp_path / "www")
    (tmp_path / "work").mkdir()
    with serving(tmp_path / "www") as origin:
        origin.script("/s001.ts", Reply(hang=True), Reply())
        clips = [{"video_id": "h0", "start": 0.2, "duration": 1.5}]
        document = timeline(clips, {"h0": f"{origin.url}/index.m3u8?token=1"}, path="mix.mp4", width=160, height=90)
        (tmp_path / "mix.json").write_text(json.dumps(document))
        with start(tmp_path) as process:
            poll(lambda: {"/s000.ts", "/s001.ts"} <= {seen.path for seen in origin.requests})
            others = {"/index.m3u8", "/key", "/s001.ts"}
            poll(lambda: kept(tmp_path) >= len({seen.path for seen in origin.requests} - others))
            process.send_signal(number)
        first = [seen.path for seen in origin.requests]
        (tmp_path / "mix.json").write_text(json.dumps(document).replace("token=1", "token=2"))
        origin.requests.clear()
        with start(tmp_path) as process:
            assert 0 == process.wait(60)
        heads = {seen.path for seen in origin.requests if seen.range is not None}

    assert "/s000.ts" in first
    assert {"/index.m3u8", "/s001.ts"} == fetched_whole(origin) - {"/key", "/s002.ts"}
    assert {"/s000.ts"} == heads
    report = read_report(tmp_path / "mix.report.json")
    assert_picture(Rendered(0, tmp_path / "mix.mp4", report), document, MEDIA, ffmpeg=packaged)
    assert 0 == cache_info(next((tmp_path / "cache").iterdir())).segments


def fetched_whole(origin: Origin) -> set[str]:
    """Return what was asked for, apart from heads of first segments, which tell each time what a video is."""
    return {seen.path for seen in origin.requests if seen.range is None}


def kept(folder: Path) -> int:
    """Count the segments that are kept."""
    return len(list((folder / "cache").glob("*/segments/*/*/entry.json")))


def encrypt_all(folder: Path) -> None:
    """Encrypt the segments of a folder with a key that lies beside them."""
    key, iv = bytes(range(16)), bytes(16)
    (folder / "key").write_bytes(key)
    for path in folder.glob("*.ts"):
        path.write_bytes(encrypt(path.read_bytes(), key, iv))
    playlist = folder / "index.m3u8"
    tag = f'#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x{iv.hex()}\n'
    playlist.write_text(playlist.read_text().replace("#EXTINF", f"{tag}#EXTINF", 1))


class StandingClock:
    """A clock by which no time goes by but what ``go_on`` adds, whatever the machine is busy with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let Trio go by it from now on, in whatever is run until the patch is undone."""
        self._clock = trio.testing.MockClock()
        self._token: trio.lowlevel.TrioToken | None = None
        run = trio.run

        def by_this_clock(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
            async def main() -> Any:
                self._token = trio.lowlevel.current_trio_token()
                return await function(*arguments)

            return run(main, clock=self._clock)

        monkeypatch.setattr(trio, "run", by_this_clock)

    def go_on(self, seconds: float) -> None:
        """Let time go by; may be called from any thread."""
        assert self._token is not None
        self._token.run_sync_soon(self._clock.jump, seconds)


def test_what_was_late_is_made_by_the_next_render(
    tmp_path: Path, site: Site, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a deadline, which comes as the second clip waits; the first is found then, and no placeholder is left."""
    shutil.copytree(site.source.parent / "www" / VIDEOS[0], tmp_path / "www")
    with serving(tmp_path / "www") as origin:
        clips = [{"video_id": "h0", "start": start, "duration": 0.4} for start in (0.3, 8.3)]
        document = timeline(clips, {"h0": f"{origin.url}/index.m3u8"}, width=160, height=90)
        with monkeypatch.context() as patch:
            clock = StandingClock(patch)

            def be_late(_: Seen) -> Reply:
                clock.go_on(5)
                return Reply(hang=True)

            origin.script("/s008.ts", be_late, Reply())
            late = render(tmp_path, document, "--deadline", "4", "--concurrency", "1", ffmpeg=packaged)
        rendered = render(tmp_path, document, ffmpeg=packaged)

    assert (3, [None, "deadline"]) == (late.exit_code, [clip["fallback_reason"] for clip in late.report["clips"]])
    assert [True, False] == [clip["cached"] for clip in rendered.report["clips"]]
    assert 0 == rendered.exit_code
    assert_picture(rendered, document, MEDIA, ffmpeg=packaged)


def test_two_renders_over_one_cache_are_both_right_though_they_are_killed(
    tmp_path: Path, site: Site, usual: tuple[float, bytes], packaged: str
) -> None:
    """Different outputs, half of whose clips are the same; both are killed and started again, at once."""
    dice = random.Random(SEED)
    documents = {}
    for name, wanted in (("a", clips()[:30]), ("b", clips()[10:])):
        (tmp_path / name / "work").mkdir(parents=True)
        documents[name] = site.document() | {"clips": wanted}
        (tmp_path / name / "mix.json").write_text(json.dumps(documents[name]))
    cache = ("--cache-dir", str(tmp_path / "cache"))
    for moment in (dice.uniform(0.3, usual[0]), dice.uniform(0.3, usual[0]), None):
        both = [start(tmp_path / name, *cache) for name in documents]
        for process in both:
            try:
                process.wait(moment or 120)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        for process in both:
            process.wait()

    for name, document in documents.items():
        report = read_report(tmp_path / name / "mix.report.json")
        assert (0, 30) == (report["exit_code"], report["clip_stats"]["success_tasks"])
        assert_picture(Rendered(0, tmp_path / name / "mix.mp4", report), document, MEDIA, ffmpeg=packaged)
    (root,) = (tmp_path / "cache").iterdir()
    assert (40, 0) == (cache_info(root).clips, cache_info(root).segments)
    assert [] == list((root / "work").iterdir())


def test_of_two_renders_of_one_output_one_wins(tmp_path: Path, site: Site, packaged: str) -> None:
    """Started together: one is right, the other leaves with 4; after ``kill -9`` a restart gets the lock at once."""
    (tmp_path / "work").mkdir()
    (tmp_path / "mix.json").write_text(json.dumps(site.document()))
    both = [start(tmp_path), start(tmp_path)]
    assert [0, 4] == sorted(process.wait(120) for process in both)
    assert_picture(
        Rendered(0, tmp_path / "mix.mp4", read_report(tmp_path / "mix.report.json")),
        site.document(),
        MEDIA,
        ffmpeg=packaged,
    )
    with start(tmp_path, "--no-cache") as process:
        poll(lambda: bool(list((tmp_path / "work").glob(".clipcut-*/*.mov"))))
        process.send_signal(signal.SIGKILL)
    with start(tmp_path) as process:
        assert 0 == process.wait(120)
