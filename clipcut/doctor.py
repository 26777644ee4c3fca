"""Look at this machine with a render's eyes: FFmpeg, encoders, folders, open files, cores, and a self-test."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import trio

from clipcut.cache.place import cache_root
from clipcut.errors import ClipcutError
from clipcut.events import Listeners
from clipcut.failures import is_bug
from clipcut.ffmpeg.tools import NEEDED_ENCODERS, find_ffmpeg, inspect_ffmpeg
from clipcut.files import is_folder, is_regular_file
from clipcut.jsonio import load_timeline
from clipcut.limits import allow_open_files, needed_open_files, usable_cores
from clipcut.pipeline import open_render
from clipcut.placeholder import packaged_placeholder
from clipcut.plan import build_plan
from clipcut.preflight import placeholder_path, prepare
from clipcut.results import RenderStatus
from clipcut.settings import Settings
from clipcut.user_folders import why_no_cache


@attrs.frozen
class Finding:
    """One thing that was looked at: its name, what was found, whether a render can live with it, and a bug it met."""

    name: str
    found: str
    is_fine: bool = True
    bug: BaseException | None = None


def _folder(name: str, path: Path) -> Finding:
    is_fine = is_folder(path) and os.access(path, os.W_OK)
    return Finding(name, f"{path}{'' if is_fine else ' can not be written to'}", is_fine)


def _look_around(settings: Settings) -> Iterator[Finding]:
    cores = usable_cores()
    files, needed = allow_open_files(), needed_open_files(settings.max_parallelism, cores)
    yield Finding("cores", str(cores))
    yield Finding(
        "open files", f"{files} allowed, {needed} needed at --concurrency {settings.max_parallelism}", files >= needed
    )
    yield Finding("settings file", str(settings.config_path or "none"))
    cache = cache_root(settings)
    yield Finding("cache", str(cache) if cache is not None else f"none: {why_no_cache()}")
    yield _folder("current folder", Path.cwd())
    if settings.work_dir is not None:
        yield _folder("work folder", Path(settings.work_dir))
    placeholder = placeholder_path(settings)
    yield Finding("placeholder", str(placeholder), is_regular_file(placeholder))


async def _look_at_ffmpeg(settings: Settings) -> list[Finding]:
    try:
        path, found = find_ffmpeg(settings.ffmpeg, settings.origins["ffmpeg"])
        tool = await inspect_ffmpeg(path, found)
    except ClipcutError as exc:
        return [Finding("FFmpeg", str(exc), is_fine=False)]
    return [
        Finding("FFmpeg", f"{tool.version}, {path} ({found})"),
        Finding("encoders", ", ".join(NEEDED_ENCODERS)),
        await _self_test(settings),
    ]


async def _self_test(settings: Settings) -> Finding:
    """Render two clips of the packaged placeholder into a video, and throw it away."""
    document = {
        "version": 1,
        "output": {"width": 160, "height": 90},
        "sources": {"test": {"url": str(packaged_placeholder())}},
        "clips": [{"video_id": "test", "start": start, "duration": 0.5} for start in (0, 1.5)],
    }
    with tempfile.TemporaryDirectory(prefix="clipcut-doctor-") as folder:
        timeline = load_timeline(json.dumps(document).encode())
        plan = build_plan(timeline, Path(folder))
        own = attrs.evolve(settings, work_dir=None, report=None, placeholder_asset_path=None, deadline=None)
        job = prepare(timeline, plan, own, output=Path(folder) / "test.mp4", name="self-test", path=None)
        with trio.move_on_after(60):
            steps = open_render(attrs.evolve(job, uses_cache=False), Listeners([]))
            await steps.attempt()
            result = steps.result()
            is_fine = result.status is RenderStatus.COMPLETE
            words = f"{result.output.frames} frames in {result.elapsed_ms} ms" if result.output else str(result.error)
            return Finding("self-test", words, is_fine, steps.failure if is_bug(steps.failure) else None)
    return Finding("self-test", "no result after 60 s", is_fine=False)


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything; the order is that of the print-out."""
    return [*await _look_at_ffmpeg(settings), *_look_around(settings)]
