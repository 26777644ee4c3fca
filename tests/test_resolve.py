"""Each file is probed once per render, however many clips ask."""

from pathlib import Path

import pytest
import trio
from test_argv import MEDIA

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.sources.resolve import Looks


async def test_ten_clips_that_ask_at_once_cause_one_probe(autojump_clock: trio.testing.MockClock) -> None:
    """The first looks, the others wait for it."""
    asked: list[Path] = []

    async def probe(path: Path) -> MediaInfo:
        asked.append(path)
        await trio.sleep(1)
        return MEDIA

    probes = Looks(probe)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(probes.get, Path("v.mp4"))

    assert [Path("v.mp4")] == asked


async def test_a_failure_is_remembered_and_told_to_each() -> None:
    """A file that can't be used is not looked at again."""
    asked: list[Path] = []

    async def probe(path: Path) -> MediaInfo:
        asked.append(path)
        raise SourceError(Reason.NO_VIDEO, "no picture")

    probes = Looks(probe)
    for _ in range(3):
        with pytest.raises(SourceError, match="no picture"):
            await probes.get(Path("v.mp4"))

    assert 1 == len(asked)


async def test_a_cancelled_probe_is_done_anew(autojump_clock: trio.testing.MockClock) -> None:
    """The clip that looked was cancelled; the next one looks itself."""
    asked: list[float] = []

    async def probe(path: Path) -> MediaInfo:
        asked.append(trio.current_time())
        await trio.sleep(10)
        return MEDIA

    probes = Looks(probe)
    with trio.move_on_after(1):
        await probes.get(Path("v.mp4"))

    assert MEDIA == await probes.get(Path("v.mp4"))
    assert 2 == len(asked)
