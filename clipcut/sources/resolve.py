"""Rung to media: which file is cut, probed once however many clips ask for it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Method, Rung


def media_path(rung: Rung) -> Path:
    """Return the local file that a rung stands for.

    Raises:
        SourceError: ``refused``; this version reads nothing from the network yet.
    """
    if rung.method is Method.REMOTE:
        raise SourceError(
            Reason.REFUSED, "this version of clipcut reads local files only; give the source a local copy"
        )
    return Path(rung.location)


class Probes:
    """Media files that were looked into, each once per render; a failure is remembered too."""

    def __init__(self, probe: Callable[[Path], Awaitable[MediaInfo]]) -> None:
        """Remember how to look into a file."""
        self._probe = probe
        self._locks: dict[Path, trio.Lock] = {}
        self._found: dict[Path, MediaInfo | SourceError] = {}

    async def get(self, path: Path) -> MediaInfo:
        """Return what is in a file; the first clip that asks looks, the others wait for it.

        Raises:
            SourceError: It can't be used, for every clip that asks.
        """
        async with self._locks.setdefault(path, trio.Lock()):
            if path not in self._found:
                try:
                    self._found[path] = await self._probe(path)
                except SourceError as exc:
                    self._found[path] = exc
        found = self._found[path]
        if isinstance(found, SourceError):
            raise SourceError(found.reason, str(found))
        return found
