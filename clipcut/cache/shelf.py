"""The cache as one render uses it: finished clips, and the segments that unfinished ones still need."""

import re
from collections.abc import Awaitable, Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from clipcut.cache.key import clip_key
from clipcut.cache.store import Store
from clipcut.digest import digest, known_address
from clipcut.plan import Edit
from clipcut.results import CutFile
from clipcut.smart import Why
from clipcut.used import Used

if TYPE_CHECKING:
    from clipcut.sources.segments.stage import Item  # the network: a light start

T = TypeVar("T")
_PIECE = re.compile(r"[0-9]{1,4}\.(mov|pcm)", re.ASCII)
_SEGMENT = "segment"


@attrs.define(eq=False)
class Shelf:
    """What a render finds in the cache, and puts there. It never fails a render: what goes wrong is a warning, once.

    Attributes:
        store: Where it is kept.
        recipe: What shapes every clip of this render.
        folder: The private work folder.
        threads: A place for each thread.
        warn: Takes an event's name and what it is about.
    """

    store: Store
    recipe: str
    folder: Path
    threads: trio.CapacityLimiter
    warn: Callable[[str, str], None]
    _sources: set[str] = attrs.field(init=False, factory=set)
    _has_failed: bool = attrs.field(init=False, default=False)

    async def find(self, edit: Edit, identity: str) -> tuple[CutFile, ...]:
        """Return a clip's pieces as an earlier render finished them; nothing if none has."""
        key = clip_key(edit, identity, self.recipe)

        def place(name: str) -> Path:
            if not _PIECE.fullmatch(name):
                raise ValueError(f"{name} is no piece of a clip")
            return self.folder / f"{edit.index:06}-{name}"

        facts = await self.in_thread(self.store.get, "clips", key, place)
        try:
            pieces = _pieces(facts, place) if facts is not None else ()
        except (KeyError, TypeError, ValueError):  # another version's, or nonsense
            pieces = ()
        if sum(piece.frames for piece in pieces) == edit.slot.frames:
            return pieces
        if facts is not None:
            await self.in_thread(self.store.drop, "clips", key)
        return ()

    async def keep(self, edit: Edit, identity: str, pieces: tuple[CutFile, ...]) -> None:
        """Keep a finished clip."""
        files: dict[str, Path] = {}
        facts = []
        for number, piece in enumerate(pieces):
            files[f"{number}.mov"] = piece.video
            if piece.sound is not None:
                files[f"{number}.pcm"] = piece.sound
            facts.append(
                {
                    "frames": piece.frames,
                    "samples": piece.samples,
                    "has_sound": piece.sound is not None,
                    "is_copied": piece.is_copied,
                    "why_encoded": piece.why_encoded,
                    "used": _used_facts(piece.used),
                }
            )
        await self.put("clips", clip_key(edit, identity, self.recipe), files, {"pieces": facts}, is_durable=True)

    async def forget(self, edit: Edit, identity: str) -> None:
        """Drop a finished clip: it doesn't fit, and is made anew."""
        await self.in_thread(self.store.drop, "clips", clip_key(edit, identity, self.recipe))

    async def put(
        self, kind: str, key: str, files: Mapping[str, Path], facts: Mapping[str, Any], *, is_durable: bool
    ) -> None:
        """Keep files; after the first failure nothing more."""
        if self._has_failed:
            return
        try:
            await self.in_thread(partial(self.store.put, kind, key, files, facts, is_durable=is_durable))
        except OSError as exc:
            if not self._has_failed:
                self._has_failed = True
                self.warn("cache.not_kept", f"nothing more is kept for later renders: {exc.strerror}")

    def in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        """Do something that blocks."""
        return trio.to_thread.run_sync(function, *args, limiter=self.threads)

    def segments(self, identity: str) -> "Segments":
        """Return where the segments of one source are kept."""
        self._sources.add(_prefix(identity))
        return Segments(self, _prefix(identity))

    async def forget_segments(self) -> None:
        """Drop every segment of this render's sources: all clips are finished.

        A render that is killed between keeping a clip and dropping its segments leaves some that nobody asks for.
        """
        for prefix in self._sources:
            await self.in_thread(self.store.drop_all, "segments", prefix)


def _prefix(identity: str) -> str:
    """Return how the keys of a source's segments begin."""
    return digest(identity)[:32]


def _pieces(facts: Mapping[str, Any], place: Callable[[str], Path]) -> tuple[CutFile, ...]:
    return tuple(
        CutFile(
            place(f"{number}.mov"),
            place(f"{number}.pcm") if piece["has_sound"] else None,
            int(piece["frames"]),
            int(piece["samples"]),
            is_copied=bool(piece["is_copied"]),
            why_encoded=Why(piece["why_encoded"]) if piece["why_encoded"] is not None else None,
            used=_used(piece["used"]),
        )
        for number, piece in enumerate(facts["pieces"])
    )


def _used_facts(used: Used | None) -> dict[str, Any] | None:
    return attrs.asdict(used) | {"fps": str(used.fps) if used.fps is not None else None} if used is not None else None


def _used(facts: Mapping[str, Any]) -> Used:
    """Read what ``_used_facts`` returned."""
    fps, frames = facts["fps"], facts["frames"]
    return Used(
        fps=Fraction(fps) if fps is not None else None,
        start_timecode=facts["start_timecode"],
        frames=(int(frames[0]), int(frames[1])) if frames is not None else None,
    )


@attrs.frozen(eq=False)
class Segments:
    """Segments of one source that were fetched and checked, until nobody needs them: for a render after a kill.

    They need not survive a power cut, as they are checked when they are found.
    """

    shelf: Shelf
    prefix: str

    def _key(self, item: "Item") -> str:
        secret = (known_address(item.key.url), item.key.iv.hex()) if item.key is not None else None
        resource = item.resource
        known = (known_address(resource.url), resource.byte_range, secret)
        return self.prefix + digest(known, item.place, item.is_head)[:32]

    async def find(self, item: "Item", path: Path) -> bool:
        """Put a segment at ``path``, if it is here; return whether it is."""
        store = self.shelf.store
        return await self.shelf.in_thread(store.get, "segments", self._key(item), lambda _: path) is not None

    async def keep(self, item: "Item", path: Path) -> None:
        """Keep a segment."""
        await self.shelf.put("segments", self._key(item), {_SEGMENT: path}, {}, is_durable=False)

    async def drop(self, item: "Item") -> None:
        """Forget a segment: nobody needs it any more."""
        await self.shelf.in_thread(self.shelf.store.drop, "segments", self._key(item))
