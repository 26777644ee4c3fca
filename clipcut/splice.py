"""Make a clip of a copy and its encoded edges, where the source needs no change and that is cheaper (``--cut auto``).

What was copied is decoded once, so that it is proven as an encoded clip is: FFmpeg met no error, and every picture came
out of the decoder.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from clipcut import smart
from clipcut.encoders import encoder_place
from clipcut.errors import Reason, SourceError
from clipcut.events import Listener, Stage
from clipcut.ffmpeg.argv import need_of
from clipcut.ffmpeg.copying import Copied
from clipcut.ffmpeg.edges import COPY, HEAD, TAIL, Sound, edge_of, proof_argv
from clipcut.ffmpeg.gops import Wish
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.mux import parameters_of
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.parameters import Parameters
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.process import Place
from clipcut.ffmpeg.renumber import SLOTS, renumbered
from clipcut.limits import Limits
from clipcut.plan import Edit, Method
from clipcut.results import CutFile
from clipcut.smart import Why
from clipcut.timeline import Output
from clipcut.used import used_of

T = TypeVar("T")
_PICTURE = re.compile(rb"frame:\d+ +pts:(-?\d+) ")


@attrs.define(eq=False, kw_only=True)
class Splicer:
    """Makes clips of copies and edges; sources that contradict each other get numbers of their own.

    Attributes:
        ffmpeg: The program.
        output: The output's form.
        folder: The private work folder.
        limits: Whose places for threads and encoders are used.
        listener: Is told of stages.
        run: Runs FFmpeg, and gives what it said.
        cut_edge: Encodes an edge of a clip of a local file.
        copy: Runs ``copy_clip``.
    """

    ffmpeg: str
    output: Output
    folder: Path
    limits: Limits
    listener: Listener
    run: Callable[[list[str], Callable[[bytes], object], Place], Awaitable[Said]]
    cut_edge: Callable[[Edit, Path], Awaitable[tuple[CutFile, ...]]]
    copy: Callable[[MediaInfo, Wish, Need, int, Path, Path], Awaitable[Copied]]
    _known: Parameters = attrs.field(init=False, factory=Parameters)
    _slots: dict[Path, int] = attrs.field(init=False, factory=dict)

    async def splice(self, edit: Edit, info: MediaInfo) -> tuple[CutFile, ...] | Why:
        """Make a clip of what can be copied and its edges; say why not where that can't be, or doesn't pay.

        Args:
            edit: The clip in its slot.
            info: Its source, a local file.

        Raises:
            SourceError: The source can't be read.
            RenderError: There is no room to work in.
        """
        self.listener.clip_stage(edit, Method.LOCAL, Stage.COPY)
        video, packets = self._path(edit, COPY, "mov"), self._path(edit, COPY, "sound")
        is_made = False
        video.unlink(missing_ok=True)  # it may be a link into the cache
        try:
            copied = await self._copy(edit, info, video, packets)
            if copied.why is not None:
                return copied.why
            sound = Sound(packets, copied.sound_shift) if copied.sound_shift is not None else None
            pieces = await self._pieces(edit, info, copied, sound)
            is_made = True
        except SourceError:
            return Why.DAMAGED  # whoever encodes the clip says what is wrong
        finally:
            packets.unlink(missing_ok=True)
            if not is_made:
                for part in (HEAD, COPY, TAIL):
                    for suffix in ("mov", "pcm"):
                        self._path(edit, part, suffix).unlink(missing_ok=True)
        return pieces

    async def _copy(self, edit: Edit, info: MediaInfo, video: Path, packets: Path) -> Copied:
        """Copy with numbers of parameter sets that no other source has; once more where that was found out just now."""
        need, wish = need_of(edit, info.video, self.output.fps), self._wish(edit)
        slot = self._slots.get(info.path, 0)
        copied = await self.copy(info, wish, need, slot, video, packets)
        if copied.why is not None or self._admits(told := await self._in_thread(parameters_of, video)):
            return copied
        slot = self._slots.setdefault(info.path, self._place(told))
        return await self.copy(info, wish, need, slot, video, packets) if slot else Copied(why=Why.PARAMETERS)

    def _place(self, told: Parameters) -> int:
        """Find numbers for a source's parameter sets that contradict others; 0 if there are none left."""
        with contextlib.suppress(ValueError):
            return next((slot for slot in SLOTS if self._admits(renumbered(told, slot))), 0)
        return 0

    def _wish(self, edit: Edit) -> Wish:
        return Wish(
            start=edit.clip.start,
            frames=edit.slot.frames,
            fps=self.output.fps,
            width=self.output.width,
            height=self.output.height,
            child=Fraction(smart.CHILD_PIXELS, self.output.width * self.output.height),
        )

    async def admits(self, pieces: tuple[CutFile, ...]) -> bool:
        """Tell whether what an earlier render copied may stand in this one's track; from now on it counts."""
        for piece in pieces:
            if piece.is_copied and not self._admits(await self._in_thread(parameters_of, piece.video)):
                return False
        return True

    def _admits(self, parameters: Parameters) -> bool:
        if not self._known.agrees(parameters):
            return False
        self._known = self._known.joined(parameters)
        return True

    async def _pieces(self, edit: Edit, info: MediaInfo, copied: Copied, sound: Sound | None) -> tuple[CutFile, ...]:
        fps, end = self.output.fps, copied.first + copied.frames
        await self._prove(edit, info, copied, sound)
        used = used_of(info, *copied.shown)
        pieces = [CutFile(self._path(edit, COPY, "mov"), None, copied.frames, 0, is_copied=True, used=used)]
        if copied.first:
            pieces[:0] = await self.cut_edge(edge_of(edit, fps, 0, copied.first, HEAD), info.path)
        if end < edit.slot.frames:
            pieces += await self.cut_edge(edge_of(edit, fps, end, edit.slot.frames, TAIL), info.path)
        samples = self._path(edit, COPY, "pcm")
        whole = attrs.evolve(pieces[0], sound=samples if sound is not None else None, samples=edit.slot.samples)
        return whole, *(attrs.evolve(piece, sound=None, samples=0) for piece in pieces[1:])

    async def _prove(self, edit: Edit, info: MediaInfo, copied: Copied, sound: Sound | None) -> None:
        """Decode what was copied, and see that every picture came out; the clip's sound is made on the way.

        Raises:
            SourceError: It is damaged.
        """
        video, samples = self._path(edit, COPY, "mov"), self._path(edit, COPY, "pcm")
        samples.unlink(missing_ok=True)
        pictures: set[int] = set()

        def note(line: bytes) -> None:
            if match := _PICTURE.match(line):
                pictures.add(int(match[1]))

        place = encoder_place(self.limits, partial(self.listener.clip_stage, edit, Method.LOCAL), stage=Stage.CHECK)
        said = await self.run(proof_argv(self.ffmpeg, video, edit, info, sound, self.output, samples), note, place)
        judge(said, info.called)
        if len(pictures) != copied.frames or copied.first + copied.frames > edit.slot.frames:
            raise SourceError(Reason.UNDECODABLE, f"{info.called}: {len(pictures)} of {copied.frames} pictures")

    def _path(self, edit: Edit, part: int, suffix: str) -> Path:
        return self.folder / f"{attrs.evolve(edit, part=part).stem}.{suffix}"

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.limits.threads)
