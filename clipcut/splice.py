"""Make a clip of a copy and its encoded edges, where the source needs no change and that is cheaper (``--cut auto``).

What was copied is decoded once, so that it is proven as an encoded clip is: FFmpeg met no error, and every picture came
out of the decoder.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Listener, Stage
from clipcut.ffmpeg.argv import need_of
from clipcut.ffmpeg.copying import NotCopiedError, Sound, copy
from clipcut.ffmpeg.edges import COPY, HEAD, TAIL, edge_of, proof_argv
from clipcut.ffmpeg.gops import Found, find
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.mux import parameters_of
from clipcut.ffmpeg.parameters import Form, Parameters
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.renumber import SLOTS, renumbered
from clipcut.limits import Limits
from clipcut.plan import Edit, Method
from clipcut.results import CutFile
from clipcut.smart import Why
from clipcut.timeline import Output

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
    """

    ffmpeg: str
    output: Output
    folder: Path
    limits: Limits
    listener: Listener
    run: Callable[[list[str], Callable[[bytes], object]], Awaitable[Said]]
    cut_edge: Callable[[Edit, Path], Awaitable[CutFile]]
    _known: Parameters = attrs.field(init=False, factory=Parameters)

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
        check = trio.from_thread.check_cancelled
        need = need_of(edit, info.video, self.output.fps)
        found = await self._in_thread(find, info, edit, need, self.output, check)
        if isinstance(found, Why):
            return found
        form = self._place(found.form)
        if form is None:
            return Why.PARAMETERS
        found = attrs.evolve(found, form=form)
        video, packets = self._path(edit, COPY, "mov"), self._path(edit, COPY, "sound")
        is_made = False
        video.unlink(missing_ok=True)  # it may be a link into the cache
        try:
            sound = await self._in_thread(copy, info, found, need, self.output.fps, video, packets, check)
            pieces = await self._pieces(edit, info, found, sound)
            is_made = True
        except NotCopiedError as exc:
            return exc.why
        except SourceError:
            return Why.DAMAGED  # whoever encodes the clip says what is wrong
        finally:
            packets.unlink(missing_ok=True)
            if not is_made:
                for part in (HEAD, COPY, TAIL):
                    for suffix in ("mov", "pcm"):
                        self._path(edit, part, suffix).unlink(missing_ok=True)
        return pieces

    async def admits(self, pieces: tuple[CutFile, ...]) -> bool:
        """Tell whether what an earlier render copied may stand in this one's track; from now on it counts."""
        for piece in pieces:
            if piece.is_copied and not self._admits(await self._in_thread(parameters_of, piece.video)):
                return False
        return True

    def _place(self, form: Form) -> Form | None:
        """Find a place in the track for a source's parameter sets, with other numbers if need be; None if none fits."""
        if self._admits(form.told):
            return form
        with contextlib.suppress(ValueError):
            for slot in SLOTS:
                if self._admits(told := renumbered(form.told, slot)):
                    return attrs.evolve(form, told=told, slot=slot)
        return None

    def _admits(self, parameters: Parameters) -> bool:
        if not self._known.agrees(parameters):
            return False
        self._known = self._known.joined(parameters)
        return True

    async def _pieces(self, edit: Edit, info: MediaInfo, found: Found, sound: Sound | None) -> tuple[CutFile, ...]:
        fps, copied = self.output.fps, found.copy
        await self._prove(edit, info, found, sound)
        pieces = [CutFile(self._path(edit, COPY, "mov"), None, len(copied.places), 0, is_copied=True)]
        if copied.first:
            pieces.insert(0, await self.cut_edge(edge_of(edit, fps, 0, copied.first, HEAD), info.path))
        if copied.end < edit.slot.frames:
            pieces.append(await self.cut_edge(edge_of(edit, fps, copied.end, edit.slot.frames, TAIL), info.path))
        samples = self._path(edit, COPY, "pcm")
        whole = attrs.evolve(pieces[0], sound=samples if sound is not None else None, samples=edit.slot.samples)
        return whole, *(attrs.evolve(piece, sound=None, samples=0) for piece in pieces[1:])

    async def _prove(self, edit: Edit, info: MediaInfo, found: Found, sound: Sound | None) -> None:
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

        self.listener.clip_stage(edit, Method.LOCAL, Stage.WAIT)
        async with self.limits.encoders:
            self.listener.clip_stage(edit, Method.LOCAL, Stage.CHECK)
            said = await self.run(proof_argv(self.ffmpeg, video, edit, info, sound, self.output, samples), note)
        judge(said, info.called)
        if len(pictures) != len(found.times):
            raise SourceError(Reason.UNDECODABLE, f"{info.called}: {len(pictures)} of {len(found.times)} pictures")

    def _path(self, edit: Edit, part: int, suffix: str) -> Path:
        return self.folder / f"{attrs.evolve(edit, part=part).stem}.{suffix}"

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.limits.threads)
