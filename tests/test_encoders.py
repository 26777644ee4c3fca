"""Places for FFmpeg: each has a core of its own where all are wanted, and any core where they aren't."""

import os

import pytest
import trio
import trio.testing

from clipcut.encoders import encoder_place, own_cores
from clipcut.events import Stage
from clipcut.limits import Limits


@pytest.mark.parametrize(
    ("usable", "cores", "wanted"),
    [
        pytest.param({3, 0, 2}, 3, (0, 2, 3), id="all"),
        pytest.param({0, 1, 2, 3}, 2, (), id="a-quota-makes-it-fewer"),
        pytest.param({0, 1}, 4, (), id="more-are-wanted-than-there-are"),
        pytest.param({5}, 1, (), id="one"),
    ],
)
def test_own_cores(usable: set[int], cores: int, wanted: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of this process, and none if others would choose the same ones."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable, raising=False)

    assert wanted == own_cores(cores)


def test_own_cores_when_the_system_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)

    assert () == own_cores(2)


async def held(limits: Limits, count: int, unfinished: int) -> list[int | None]:
    """Take so many places at once, and return the cores that they gave."""
    cores: list[int | None] = []

    async def hold() -> None:
        async with encoder_place(limits, lambda _: None, unfinished=unfinished) as core:
            cores.append(core)
            await over.wait()

    over = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        over.set()
    return sorted(cores, key=lambda core: -1 if core is None else core)


async def test_a_place_has_a_core_of_its_own() -> None:
    """As long as there are clips for all of them; a core that was given back is used again."""
    limits = Limits(4, 4, 2, own_cores=(4, 7))

    assert [4, 7] == await held(limits, 2, unfinished=3)
    assert [4, 7] == await held(limits, 2, unfinished=2)
    assert [None] == await held(limits, 1, unfinished=1)
    assert 2 == limits.encoders.available_tokens


async def test_a_place_has_any_core_where_not_all_are_used() -> None:
    """With fewer clips at once than cores, others may be at work on any of them."""
    limits = Limits(2, 2, 3, own_cores=(0, 1, 2))

    assert [None, None] == await held(limits, 2, unfinished=9)


async def test_a_place_tells_of_the_wait_for_it() -> None:
    """First that it is waited for, then what is done in it."""
    limits, stages = Limits(4, 4, 1), list[Stage]()
    async with trio.open_nursery() as nursery:
        await limits.encoders.acquire()

        async def work() -> None:
            async with encoder_place(limits, stages.append, stage=Stage.CHECK):
                assert [Stage.WAIT, Stage.CHECK] == stages

        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked()
        assert [Stage.WAIT] == stages
        limits.encoders.release()
