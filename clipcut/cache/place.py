"""Where the cache is: below the user's cache folder or a named one, in a folder of its own that only it touches."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from clipcut.cache.store import KINDS, Store, entries_below
from clipcut.files import sweep_folders, work_folder
from clipcut.settings import Settings
from clipcut.user_folders import user_cache_folder

_OWN = "clipcut-cache-1"
_WORK = "work"
_TAG = "CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Finished clips, kept by clipcut. They can be removed.\n"


def cache_root(settings: Settings) -> Path | None:
    """Return the folder that holds the cache, which need not be there; None if there is no place for one."""
    folder = Path(settings.cache_dir) if settings.cache_dir is not None else user_cache_folder()
    return folder / _OWN if folder is not None else None


def _make(root: Path) -> Path:
    """Make the cache's folder if it isn't there; backup programs leave it away. Return its work folder."""
    work = root / _WORK
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (root / _TAG).exists():
        (root / _TAG).write_bytes(_SIGNATURE)
    sweep_folders(work)
    return work


@contextlib.asynccontextmanager
async def open_store(root: Path, limit: int) -> AsyncIterator[Store]:
    """Give the store in a folder, with a work folder of this process's own that goes in the end.

    Raises:
        OSError: It can't be made or written to.
    """
    work = await trio.to_thread.run_sync(_make, root)
    async with work_folder(work) as own:
        yield Store(root, limit, own)


@attrs.frozen
class CacheInfo:
    """What a cache holds: finished clips, segments that unfinished ones still need, and the bytes of both.

    ``root`` is None where there is no place for one.
    """

    root: Path | None
    clips: int
    segments: int
    size: int


def cache_info(root: Path | None) -> CacheInfo:
    """Look into a cache; where there is no place for one, it holds nothing."""
    counts, size = dict.fromkeys(KINDS, 0), 0
    for entry in entries_below(root) if root is not None else ():
        counts[entry.path.parent.parent.name] += 1
        size += entry.size
    return CacheInfo(root, counts["clips"], counts["segments"], size)


async def clear_cache(root: Path) -> None:
    """Remove everything from a cache; a render that uses it meanwhile has what it has found, and makes the rest anew.

    Raises:
        OSError: Something can't be removed.
    """
    async with open_store(root, 0) as store:
        await trio.to_thread.run_sync(store.clear)
