"""The network's side of a render, before anything is asked for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import attrs
import trio
from answers import open_fetcher
from fakes import Recorder, make_plan

from clipcut.plan import Edit, Method, Rung
from clipcut.sources.remote import Remote
from clipcut.sources.remote_video import Bench

RUNG = Rung(Method.REMOTE, "https://a.example/v.m3u8")


class Watched(tuple[Edit, ...]):
    """Clips that count how often somebody goes through all of them."""

    __slots__ = ()
    times = 0

    def __iter__(self) -> Iterator[Edit]:
        """Count."""
        type(self).times += 1
        return super().__iter__()


async def test_the_clips_of_many_videos_are_gone_through_once(tmp_path: Path) -> None:
    """Each video finds its own; a hundred thousand clips of as many videos would take minutes otherwise."""
    names = [f"v{number}" for number in range(50)] * 2
    plan = make_plan(*names, ladder=(RUNG, Rung(Method.PLACEHOLDER)))
    async with open_fetcher() as fetcher, trio.open_nursery() as nursery:
        bench = Bench(
            fetcher=fetcher,
            output=plan.output,
            folder=tmp_path,
            nursery=nursery,
            threads=trio.CapacityLimiter(1),
            readers=cast("Any", None),
            probe=cast("Any", None),
            listener=Recorder(),
        )
        remote = Remote(plan=attrs.evolve(plan, edits=Watched(plan.edits)), environ={}, bench=bench)
        videos = [remote.video(name, RUNG) for name in names]

    assert 1 == Watched.times
    assert 50 == len(set(map(id, videos)))
    assert [[number, number + 50] for number in range(50)] == [
        [edit.index for edit in video._edits] for video in videos[:50]
    ]
