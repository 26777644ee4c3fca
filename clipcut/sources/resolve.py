"""Rung to media: what a clip is cut from, and files that are looked into once however many clips ask."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import attrs
import trio

from clipcut.errors import SourceError
from clipcut.events import Told
from clipcut.ffmpeg.need import Side
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit, Rung

T = TypeVar("T")


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

    def parts(self, edit: Edit, rung: Rung, told: Told) -> AbstractAsyncContextManager["Media"]:
        """Give what an edit is cut from inside a block.

        Raises ``SourceError``, or ``RenewedError`` if it is worth a second try, as the block is left.
        """
        ...

    async def pass_over(self, edit: Edit, rung: Rung) -> None:
        """Expect an edit no more: it was finished before."""

    def is_known(self, edit: Edit, rung: Rung) -> bool:
        """Whether ``identity`` would ask nobody any more."""
        ...

    async def identity(self, edit: Edit, rung: Rung, told: Told) -> str | None:
        """Return what an edit's source is known by, as far as it is cut; None if it can't be known from another.

        Raises ``SourceError``, or ``RenewedError`` if it is worth a second try.
        """
        ...


@attrs.frozen
class Media:
    """The parts that an edit is cut from, in order, and what their source is known by; None if that can't be told."""

    parts: Sequence[Part]
    identity: str | None


class Looks(Generic[T]):
    """Files that were looked at, each once per render; a failure is remembered too."""

    def __init__(self, look: Callable[[Path], Awaitable[T]]) -> None:
        """Remember how to look at a file."""
        self._look = look
        self._locks: dict[Path, trio.Lock] = {}
        self._found: dict[Path, T | SourceError] = {}

    async def get(self, path: Path) -> T:
        """Return what was found; the first clip that asks looks, the others wait for it.

        Raises:
            SourceError: It can't be used, for every clip that asks.
        """
        async with self._locks.setdefault(path, trio.Lock()):
            if path not in self._found:
                try:
                    self._found[path] = await self._look(path)
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
    probes: Looks[MediaInfo]

    async def info(self, told: Told) -> MediaInfo:  # noqa: ARG002  nothing is sent
        """Look into the file."""
        return await self.probes.get(self.path)

    def extend(self, side: Side, *, is_sound: bool) -> None:
        """Is never asked for: there is no more."""
        raise AssertionError(f"a whole file has nothing {side.value} it (sound: {is_sound})")
