"""What ``clipcut plan`` finds out beyond the timeline: where each clip would come from, and what that would cost."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from clipcut.events import Listeners
from clipcut.files import why_unreadable, work_folder
from clipcut.limits import Limits, usable_cores
from clipcut.plan import Edit, Method, Plan, launch_order
from clipcut.settings import Settings
from clipcut.signals import until_signalled

if TYPE_CHECKING:
    from clipcut.sources.forecast import Forecast


async def look_ahead(plan: Plan, settings: Settings) -> "Forecast | int":
    """Fetch playlists and indexes, and nothing else; return what a render would cost, or an exit code.

    Args:
        plan: The clips, some of them from the network.
        settings: How often and how fast requests may be sent.
    """
    found: list[Forecast] = []

    async def look() -> None:
        found.append(await _look(plan, settings))

    async def conclude(ended_by: int | None) -> int:
        await trio.lowlevel.checkpoint()
        return 128 + (ended_by or 0)

    code = await until_signalled(look, conclude)
    return found[0] if found else code


async def _look(plan: Plan, settings: Settings) -> "Forecast":
    from clipcut.ffmpeg.probe import MediaInfo, probe  # noqa: PLC0415  a light start
    from clipcut.ffmpeg.readers import open_readers  # noqa: PLC0415
    from clipcut.sources.forecast import forecast  # noqa: PLC0415
    from clipcut.sources.remote import Remote, open_fetcher  # noqa: PLC0415
    from clipcut.sources.remote_video import Bench  # noqa: PLC0415

    limits = Limits(settings.max_parallelism, settings.per_video_limit, usable_cores())
    rate = float(settings.rate_limit) if settings.rate_limit is not None else None

    async def look_into(path: Path) -> MediaInfo:
        return await readers.run(probe, path)

    listener = Listeners([])
    async with (
        work_folder(Path(tempfile.gettempdir())) as folder,
        open_readers(limits.cores, listener.warning) as readers,
        open_fetcher(os.environ, max_retry=lambda: settings.max_retry, rate=lambda: rate) as fetcher,
        trio.open_nursery() as downloads,
    ):
        bench = Bench(
            fetcher=fetcher,
            output=plan.output,
            folder=folder,
            nursery=downloads,
            threads=limits.threads,
            readers=readers,
            probe=look_into,
            listener=listener,
            only_looks=True,
        )
        order = launch_order(plan.edits, min(limits.cores, limits.max_parallelism))
        found = await forecast(order, Remote(plan=plan, environ=os.environ, bench=bench))
        downloads.cancel_scope.cancel()
    return found


def chosen_rung(edit: Edit, found: "Forecast | None") -> Method | None:
    """Return which kind of rung a clip would be cut from, as far as that can be told now; None if it can't.

    Args:
        edit: The clip.
        found: What the network said; None if it wasn't asked.
    """
    for rung in edit.ladder:
        if rung.method is Method.REMOTE:
            if found is None:
                return None
            if found.clips[edit.index].reason is None:
                return rung.method
        elif rung.method is Method.PLACEHOLDER or why_unreadable(Path(rung.location)) is None:
            return rung.method
    return Method.PLACEHOLDER
