"""Fixtures that many tests share: the FFmpegs to test with, generated sources, a render in one call."""

import datetime as dt
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest

pytest.register_assert_rewrite("golden", "reports")

from answers import DATA, NOW, open_fetcher  # noqa: E402  after the line above, or golden's asserts say nothing
from everyday import takes_long  # noqa: E402
from golden import timeline  # noqa: E402
from media import make_source  # noqa: E402
from origin import Origin, open_origin  # noqa: E402
from reports import file_mistakes, report_mistakes  # noqa: E402

from clipcut import running  # noqa: E402
from clipcut.ffmpeg.tools import find_ffmpeg  # noqa: E402
from clipcut.network.fetch import Fetcher  # noqa: E402
from clipcut.report import build_report, report_bytes  # noqa: E402

for profile, examples in {"everyday": 25, "default": 200, "fuzz": 10_000}.items():
    hypothesis.settings.register_profile(profile, deadline=None, max_examples=examples, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that Hypothesis feeds, so that ``nox -s fuzz`` forgets none; and what isn't run every day."""
    for item in items:
        if isinstance(item, pytest.Function) and hypothesis.is_hypothesis_test(item.obj):
            item.add_marker("fuzz")
        name = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
        if takes_long(name, media=item.get_closest_marker("media") is not None):
            item.add_marker("slow")


PACKAGED = find_ffmpeg(None, "")[0]
ON_PATH = shutil.which("ffmpeg")


def ffmpegs() -> list[str]:
    """The packaged FFmpeg, and the PATH's where it has one."""
    return [PACKAGED, *([ON_PATH] if ON_PATH is not None else [])]


ON_PATH_TOO = [pytest.param(path, id="path", marks=pytest.mark.slow) for path in ffmpegs()[1:]]


@pytest.fixture(scope="session")
def packaged() -> str:
    """The packaged FFmpeg."""
    return PACKAGED


@pytest.fixture(scope="session", params=[pytest.param(PACKAGED, id="packaged"), *ON_PATH_TOO])
def ffmpeg(request: pytest.FixtureRequest) -> str:
    """Each FFmpeg in turn."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep settings and finished clips of whoever runs the tests, and of other tests, out of each."""
    for name in [name for name in os.environ if name.startswith(("RENDER_", "CLIPCUT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    for name in ("PLACEHOLDER_CLIP_PATH", "TRACEPARENT", "FORCE_COLOR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", autouse=True)
def wrong_reports() -> Iterator[list[str]]:
    """What is wrong with the reports that this process makes; kept here, as a render would take a raise for a bug."""
    wrong: list[str] = []

    def watched(*facts: Any) -> dict[str, Any]:
        report = build_report(*facts)
        wrong.extend(report_mistakes(json.loads(report_bytes(report))))
        return report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "build_report", watched)
        yield wrong


@pytest.fixture(autouse=True)
def _reports_are_valid(request: pytest.FixtureRequest, wrong_reports: list[str]) -> Iterator[None]:
    """Hold every report against the schema: those that this process makes, and what its children leave in a folder."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    wrong, wrong_reports[:] = list(wrong_reports), []
    assert [] == wrong
    assert [] == (file_mistakes(folder) if folder is not None else [])


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A folder with two numbered sources of 12 s with clicks: v1.mp4 at 30/s, v2.mp4 at 25/s, 44.1 kHz mono."""
    folder = tmp_path_factory.mktemp("sources")
    make_source(folder / "v1.mp4", ffmpeg=packaged, source_id=1, seconds=12)
    make_source(
        folder / "v2.mp4",
        ffmpeg=packaged,
        source_id=2,
        seconds=12,
        fps=Fraction(25),
        width=640,
        height=360,
        sample_rate=44100,
        channels=1,
    )
    return folder


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    """An origin outside, with a file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a").write_bytes(DATA)
    async with open_origin(tmp_path / "www") as one:
        yield one


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> dt.datetime:
    """The moment at which the clock on the wall stands still for whoever reads the time that a server names."""
    monkeypatch.setattr(
        "clipcut.network.fetch.dt", SimpleNamespace(UTC=dt.UTC, datetime=SimpleNamespace(now=lambda _: NOW))
    )
    return NOW


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher over real sockets that asks once."""
    async with open_fetcher() as one:
        yield one


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a timeline of two clips, which is the current one."""
    clips = [{"id": name, "video_id": "v", "start": 0, "duration": 0.5} for name in "ab"]
    (tmp_path / "mix.json").write_text(json.dumps(timeline(clips, {"v": "v.mp4"}, path="mix.mp4")))
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    return tmp_path
