"""Where the cache is: below the user's cache folder or a named one, in a folder of its own that only it touches."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import trio

from clipcut.cache.store import KINDS, Store, entries_below
from clipcut.files import sweep_folders, work_folder
from clipcut.settings import Settings

_OWN = "clipcut-cache-1"
_WORK = "work"
_TAG = "CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Finished clips, kept by clipcut. They can be removed.\n"


def cache_root(settings: Settings) -> Path:
    """Return the folder that holds the cache; it need not be there."""
    if settings.cache_dir is not None:
        return Path(settings.cache_dir) / _OWN
    import platformdirs  # noqa: PLC0415  a light start

    return platformdirs.user_cache_path("clipcut") / _OWN


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
    """What a cache holds: finished clips, segments that unfinished ones still need, and the bytes of both."""

    root: Path
    clips: int
    segments: int
    size: int


def cache_info(root: Path) -> CacheInfo:
    """Look into a cache."""
    counts, size = dict.fromkeys(KINDS, 0), 0
    for entry in entries_below(root):
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
