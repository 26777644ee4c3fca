"""Placeholders of a render: encoded once, as long as the longest slot so far, and cut to the length of each slot.

A picture that is stored in the order it is shown in needs none that comes after it, so its first frames are a whole
picture by themselves: many late clips take milliseconds each, not an encoder.
"""

from array import array
from collections.abc import Awaitable, Callable
from fractions import Fraction
from math import ceil
from pathlib import Path

import attrs
import trio

from clipcut.ffmpeg.argv import PCM_BYTES
from clipcut.ffmpeg.mux import copy_head, is_in_order
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit, Slot
from clipcut.results import CutFile
from clipcut.timebase import sample_at
from clipcut.timeline import Output

LEAST_S = 3
"""A picture that slots are cut from is at least so long, in seconds."""

Encode = Callable[[Edit, MediaInfo | None, bool], Awaitable[CutFile]]
"""Fills an edit's slot from a placeholder clip, None for black; the flag asks for frames stored as they are shown."""


@attrs.define(eq=False)
class Fills:
    """The placeholders of one render.

    Attributes:
        output: The output's form.
        folder: The private work folder.
        threads: A place for each thread.
        encode: Fills a slot with an encoder.
    """

    output: Output
    folder: Path
    threads: trio.CapacityLimiter
    encode: Encode
    _made: dict[Path | None, CutFile | None] = attrs.field(init=False, factory=dict)
    _lock: trio.Lock = attrs.field(init=False, factory=trio.Lock)

    async def fill(self, edit: Edit, asset: MediaInfo | None) -> CutFile:
        """Fill a slot.

        Args:
            edit: The clip in its slot.
            asset: The placeholder clip; None for black and silence.

        Raises:
            SourceError: It can't be used.
        """
        async with self._lock:
            long = await self._long(edit, asset)
        if long is None:
            return await self.encode(edit, asset, False)
        return await trio.to_thread.run_sync(self._cut, long, edit, limiter=self.threads)

    async def _long(self, edit: Edit, asset: MediaInfo | None) -> CutFile | None:
        """Return a piece that is long enough; None where its pictures aren't stored in order."""
        name = asset.path if asset is not None else None
        made = self._made.get(name)
        if name in self._made and (made is None or made.frames >= edit.slot.frames):
            return made
        fps = self.output.fps
        frames = max(edit.slot.frames, ceil(LEAST_S * fps), 2 * made.frames if made is not None else 0)
        slot = Slot(start_frame=0, frames=frames, start_sample=0, samples=self._samples(frames))
        clip = attrs.evolve(edit.clip, gain_db=Fraction(0))
        whole = attrs.evolve(edit, clip=clip, slot=slot, is_silent=False, part=99)
        found = await self.encode(whole, asset, True)
        is_fit = await trio.to_thread.run_sync(is_in_order, found.video, limiter=self.threads)
        self._made[name] = found if is_fit else None
        return self._made[name]

    def _samples(self, frames: int) -> int:
        """Return the samples of so many frames; one more, as a slot's boundaries are rounded one by one."""
        return sample_at(frames, self.output.fps, self.output.audio.sample_rate) + 1

    def _cut(self, long: CutFile, edit: Edit) -> CutFile:
        video, sound = self.folder / f"{edit.stem}.mov", None
        video.unlink(missing_ok=True)  # a rung that failed before may have left one
        copy_head(long.video, edit.slot.frames, self.output.fps, video)
        if long.sound is not None and not edit.is_silent:
            sound = self.folder / f"{edit.stem}.pcm"
            sound.unlink(missing_ok=True)
            sound.write_bytes(self._sound(long.sound, edit))
        return CutFile(video, sound, edit.slot.frames, edit.slot.samples)

    def _sound(self, path: Path, edit: Edit) -> bytes:
        """Return the first samples, with the clip's gain, as the encoder would have made them."""
        with path.open("rb") as file:
            found = file.read(edit.slot.samples * self.output.audio.channels * PCM_BYTES)
        if not edit.clip.gain_db:
            return found
        factor = 10 ** (float(edit.clip.gain_db) / 20)
        return array("f", (value * factor for value in array("f", found))).tobytes()
