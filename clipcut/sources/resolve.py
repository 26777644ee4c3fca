"""Rung to media: what a clip is cut from, and files that are looked into once however many clips ask."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import attrs
import trio

from clipcut.errors import SourceError
from clipcut.events import Told
from clipcut.ffmpeg.need import Side
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit, Rung


class Part(Protocol):
    """What an edit, or a part of one, is cut from."""

    @property
    def edit(self) -> Edit:
        """The frames that are cut from it."""
        ...

    async def info(self, told: Told) -> MediaInfo:
        """Have it here, as a local file, and look into it; raises ``SourceError`` if that can't be."""
        ...

    def extend(self, side: Side, *, is_sound: bool) -> None:
        """Take more of the source, where ``info`` said that there is more."""


class RenewedError(Exception):
    """A source isn't what it was and has been opened anew: whoever was at it tries once more. Nobody's failure."""


class Remote(Protocol):
    """Whoever fetches network sources."""

    def parts(self, edit: Edit, rung: Rung, told: Told) -> AbstractAsyncContextManager[Sequence[Part]]:
        """Give the parts that an edit is cut from, in order, inside a block.

        Raises ``SourceError``, or ``RenewedError`` if it is worth a second try, as the block is left.
        """
        ...


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


@attrs.frozen
class LocalPart:
    """A local file; it is there as a whole, so one part does."""

    edit: Edit
    path: Path
    probes: Probes

    async def info(self, told: Told) -> MediaInfo:  # noqa: ARG002  nothing is sent
        """Look into the file."""
        return await self.probes.get(self.path)

    def extend(self, side: Side, *, is_sound: bool) -> None:
        """Is never asked for: there is no more."""
        raise AssertionError(f"a whole file has nothing {side.value} it (sound: {is_sound})")
