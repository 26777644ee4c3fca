"""Make a clip of its excerpt: in one, or in pieces where the pictures change on the way; each piece is proven.

The filters are chosen by what the head of a source says. FFmpeg tells what each picture is that it decodes; where that
is something else, the clip is cut anew, in pieces of pictures that are alike.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import attrs

from clipcut.encoders import encoder_place
from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg import argv as build
from clipcut.ffmpeg.edges import edge_of
from clipcut.ffmpeg.excerpt import Excerpt
from clipcut.ffmpeg.judge import Said
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.probe import MediaInfo, VideoInfo
from clipcut.ffmpeg.process import Place
from clipcut.ffmpeg.shapes import Run, Shape, Shapes, differs, runs_of
from clipcut.limits import Limits
from clipcut.plan import Edit, Method
from clipcut.results import CutFile
from clipcut.timeline import Output
from clipcut.used import used_of

_PICTURE = re.compile(rb"frame:\d+ +pts:(-?\d+) ")
_PIECES = 1000
"""From which number on the pieces count that a part of a clip is cut in where its pictures change."""

_TRIES = 2
"""How often such a piece is encoded: what the shape of its pixels is shows where it is decoded on its own only."""


class OtherPicturesError(SourceError):
    """What came out of the decoder aren't the pictures that the packets tell of; no error was met."""


class Encode(Protocol):
    """Runs FFmpeg for a clip, and proves that it did what was asked for."""

    def __call__(
        self,
        edit: Edit,
        method: Method,
        source: str,
        argv: Callable[[build.Targets], list[str]],
        note: Callable[[bytes], object],
        listen: Callable[[str], object],
    ) -> Awaitable[CutFile]:
        """Return what was made; raises ``SourceError`` or ``RenderError``."""
        ...


@attrs.frozen(kw_only=True)
class Decoder:
    """Decodes and conforms excerpts.

    Attributes:
        ffmpeg: The program.
        can_tone_map: Whether it can map HDR.
        output: The form of the output.
        folder: The private work folder.
        limits: Whose encoder places are used.
        encode: Runs FFmpeg for a clip.
        run: Runs FFmpeg for anything else.
        excerpt: Runs ``make_excerpt``.
    """

    ffmpeg: str
    can_tone_map: bool
    output: Output
    folder: Path
    limits: Limits
    encode: Encode
    run: Callable[[list[str], Callable[[bytes], object], Place, Callable[[str], object]], Awaitable[Said]]
    excerpt: Callable[[MediaInfo, Need, Path, bool], Awaitable[Excerpt]]

    async def decode(self, edit: Edit, method: Method, info: MediaInfo, excerpt: Excerpt) -> tuple[CutFile, ...]:
        """Decode an excerpt and conform it; in pieces, where its pictures aren't what the head of their file says.

        Raises:
            SourceError: It can't be decoded; ``OtherPicturesError`` if what came out are other pictures.
            RenderError: There is no room to work in.
        """
        if not excerpt.changes:
            shapes = Shapes()
            try:
                cut = await self._alike(edit, method, info, excerpt, shapes)
            except SourceError:
                if differs(info.video, info.video, shapes.found) is None:
                    raise
            else:
                if differs(info.video, info.video, shapes.found) is None:
                    return (cut,)
        return await self._in_pieces(edit, method, info, excerpt)

    async def _alike(
        self,
        edit: Edit,
        method: Method,
        info: MediaInfo,
        excerpt: Excerpt,
        shapes: Shapes,
        heard: Edit | None = None,
    ) -> CutFile:
        """Decode pictures that are alike, and see that every one in the clip's range came out of the decoder."""
        wanted = build.plan_cut(edit, info.video, excerpt).pictures
        found: list[int] = []

        def note(line: bytes) -> None:
            if match := _PICTURE.match(line):
                found.append(int(match[1]))

        def argv(targets: build.Targets) -> list[str]:
            made = edit, info, excerpt, self.output, targets
            return build.cut_argv(self.ffmpeg, *made, tone_map=self.can_tone_map, heard=heard)

        cut = await self.encode(edit, method, info.called, argv, note, shapes.hear)
        if found != list(wanted):
            counts = f"{len(wanted)} pictures in the clip's range, and {len(set(wanted) & set(found))} of them came out"
            words = f"{info.called} has {counts} of the decoder ({len(found)} in all)"
            if sorted(found) == list(wanted):
                words = f"{info.called}: the pictures in the clip's range came out of the decoder in another order"
            raise OtherPicturesError(Reason.UNDECODABLE, words)
        return attrs.evolve(cut, used=used_of(info, excerpt.pictures[0], excerpt.pictures[-1]))

    async def _in_pieces(self, edit: Edit, method: Method, info: MediaInfo, excerpt: Excerpt) -> tuple[CutFile, ...]:
        """Cut a clip in pieces, each of pictures that are alike; each is proven as a whole clip is."""
        shapes = Shapes()
        argv = build.look_argv(self.ffmpeg, edit, info, excerpt)
        await self.run(argv, lambda _: None, encoder_place(self.limits, lambda _: None), shapes.hear)
        found = _by_picture(edit, info.video, excerpt, shapes)
        if not found:
            raise SourceError(Reason.UNDECODABLE, f"{info.called}: no picture of the clip's range can be decoded")
        limits = build.latest_pictures(edit, info.video, self.output.fps)
        pieces: list[CutFile] = []
        is_whole = False
        try:
            for number, run in enumerate(runs_of(info.video, found, limits, excerpt.changes)):
                pieces.append(await self._piece(edit, method, info, excerpt, run, number))
            is_whole = True
        finally:
            if not is_whole:
                for piece in pieces:
                    remove_cut(piece)
        return tuple(pieces)

    async def _piece(
        self, edit: Edit, method: Method, info: MediaInfo, whole: Excerpt, run: Run, number: int
    ) -> CutFile:
        """Cut one piece, from packets of its own: pictures of another kind after it would end its filters too soon.

        Raises:
            SourceError: Its pictures change in a way that can't be followed.
        """
        piece = edge_of(edit, self.output.fps, run.first, run.end, _PIECES * (edit.part + 1) + number)
        need = build.need_of(piece, run.video, self.output.fps)
        need = attrs.evolve(need, tolerance=need.tolerance + info.lenience)
        limits = build.latest_pictures(piece, run.video, self.output.fps)
        with excerpt_files(self.folder / piece.stem) as path:
            excerpt = await self.excerpt(info, need, path, bool(whole.places))
            if not number:
                excerpt = attrs.evolve(excerpt, sound=whole.sound, sound_shift=whole.sound_shift)
            video, wrong = run.video, 0
            for _ in range(_TRIES):
                shapes = Shapes()
                cut = await self._alike(piece, method, attrs.evolve(info, video=video), excerpt, shapes, edit)
                found = _by_picture(piece, video, excerpt, shapes)
                if (other := differs(info.video, video, found)) is None:
                    return attrs.evolve(cut, samples=0 if number else edit.slot.samples)
                runs = runs_of(info.video, found, limits)
                video, wrong = runs[0].video, other
                if len(runs) > 1:
                    break
        at = float(wrong * info.video.time_base - info.video.zero)
        words = "its pictures change there, in size, shape or colours, in a way that can't be followed"
        raise SourceError(Reason.UNDECODABLE, f"{info.called} at {at:.3f} s: {words}")


def _by_picture(edit: Edit, video: VideoInfo, excerpt: Excerpt, shapes: Shapes) -> dict[int, Shape]:
    """Return what each picture is by its own time, in ticks of the source."""
    times = zip(build.plan_cut(edit, video, excerpt).pictures, excerpt.pictures, strict=True)
    return {pts: shapes.found[at] for at, pts in times if at in shapes.found}


@contextlib.contextmanager
def excerpt_files(path: Path) -> Iterator[Path]:
    """See that an excerpt's files are gone in the end."""
    try:
        yield path
    finally:
        for suffix in (".video", ".sound"):
            path.with_suffix(suffix).unlink(missing_ok=True)


def remove_cut(cut: CutFile) -> None:
    """Remove a piece's middle files, so that disk stays bounded however many clips there are."""
    for path in (cut.video, cut.sound):
        if path is not None:
            path.unlink(missing_ok=True)
