"""Cut one clip from one rung, and prove it: FFmpeg's exit status and frame count alone are no proof.

A cut holds when FFmpeg met no error, every picture that the source has in the clip's range came out of the decoder
(counted before anything is repeated to fill a slot), and the file has exactly the slot's frames.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import attrs
import trio

from clipcut.cache.identity import LocalIdentity, local_identity
from clipcut.cache.shelf import Shelf
from clipcut.decode import Decoder, OtherPicturesError, excerpt_files, remove_cut
from clipcut.encoders import encoder_place
from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.events import Listener, Stage, Told
from clipcut.ffmpeg import argv as build
from clipcut.ffmpeg.copying import copy_clip
from clipcut.ffmpeg.excerpt import Excerpt, make_excerpt
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.mux import count_frames, parameters_of
from clipcut.ffmpeg.need import UncoveredError
from clipcut.ffmpeg.parameters import OURS, Parameters, is_plain
from clipcut.ffmpeg.probe import ALPHA_DECODERS, MediaInfo, file_identity
from clipcut.ffmpeg.process import Place, run
from clipcut.ffmpeg.readers import Readers
from clipcut.ffmpeg.shown import probe_shown
from clipcut.ffmpeg.tools import Tool
from clipcut.fill import Fills
from clipcut.limits import Limits
from clipcut.plan import Edit, Method, Rung, shown_source
from clipcut.results import CutFile
from clipcut.smart import Why
from clipcut.sources.resolve import LocalPart, Looks, Part, Remote, RenewedError
from clipcut.splice import Splicer
from clipcut.timeline import Output
from clipcut.working import naming, without_folder

T = TypeVar("T")


class Cutter(Protocol):
    """Whoever makes a clip's file: FFmpeg here, a fake in tests."""

    def knows(self, edit: Edit, rung: Rung) -> bool:
        """Tell whether ``find`` needs nobody else to answer; never of the placeholder, which nobody keeps."""
        ...

    async def find(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Return what an earlier render made of a rung; nothing if there is none; raises as ``cut`` does."""
        ...

    async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Cut an edit from a rung; raises ``SourceError`` if that can't be done, ``RenderError`` if nothing can."""
        ...


@attrs.define(kw_only=True)
class FFmpegCutter:
    """Cuts with FFmpeg children.

    Attributes:
        tool: The FFmpeg in use.
        output: The form of the output.
        folder: The private work folder.
        limits: Whose encoder and thread places are used.
        readers: Who opens media.
        placeholder: Tells the placeholder clip.
        listener: Who is told of stages and warnings.
        unfinished: Clips that are not finished yet; the last few get more threads each.
        remote: Gives the parts of network sources; None where a render has none.
        shelf: Where finished clips are kept for later renders; None for nowhere.
        copies: Whether pictures that need no change are copied where that is cheaper.
    """

    tool: Tool
    output: Output
    folder: Path
    limits: Limits
    readers: Readers
    placeholder: Callable[[], Path]
    listener: Listener
    unfinished: Callable[[], int]
    remote: Remote | None = None
    shelf: Shelf | None = None
    copies: bool = False
    _splicer: Splicer | None = attrs.field(init=False, default=None)
    _decoder: Decoder = attrs.field(init=False)
    _probes: Looks[MediaInfo] = attrs.field(init=False)
    _identities: Looks[LocalIdentity | None] = attrs.field(init=False)
    _hdr_told: set[str] = attrs.field(init=False, factory=set)
    _alpha_told: set[str] = attrs.field(init=False, factory=set)
    _decoders: dict[str, bool] = attrs.field(init=False, factory=dict)
    _fills: Fills = attrs.field(init=False)
    _placeholder_warned: set[Path] = attrs.field(init=False, factory=set)
    _numbered: set[str] = attrs.field(init=False, factory=set)
    _own: Parameters = attrs.field(init=False, factory=Parameters)

    def __attrs_post_init__(self) -> None:
        """Share one set of probes among all clips."""
        self._probes = Looks(self.probe)
        self._fills = Fills(self.output, self.folder, self.limits.threads, self._conform_placeholder)
        self._identities = Looks(partial(self._in_thread, local_identity))
        self._decoder = Decoder(
            ffmpeg=self.tool.path,
            can_tone_map=self.tool.can_tone_map,
            output=self.output,
            folder=self.folder,
            limits=self.limits,
            encode=self._encode,
            run=self._run,
            excerpt=lambda *wanted: self.readers.run(make_excerpt, *wanted),
        )
        if self.copies:
            self._splicer = Splicer(
                ffmpeg=self.tool.path,
                output=self.output,
                folder=self.folder,
                limits=self.limits,
                listener=self.listener,
                run=self._run,
                cut_edge=self._cut_edge,
                copy=lambda *wanted: self.readers.run(copy_clip, *wanted),
            )

    def knows(self, edit: Edit, rung: Rung) -> bool:
        """Tell whether ``find`` needs nobody else to answer: the file is local, or its source was asked already."""
        if self.shelf is None or rung.method is Method.PLACEHOLDER:
            return False
        return rung.method is Method.LOCAL or (self.remote is not None and self.remote.is_known(edit, rung))

    async def find(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Return what an earlier render made of a rung; nothing if there is none.

        Raises:
            SourceError: The source is not there at all.
        """
        if self.shelf is None:
            await trio.lowlevel.checkpoint()
            return ()
        with self._naming(rung):
            return await self._find(self.shelf, edit, rung, told)

    async def _find(self, shelf: Shelf, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        identity = await self._identity(edit, rung, told)
        pieces = await shelf.find(edit, identity) if identity is not None else ()
        if pieces and self._splicer is not None and not await self._splicer.admits(pieces):
            for piece in pieces:
                remove_cut(piece)
            await shelf.forget(edit, identity or "")
            return ()
        if pieces and self.remote is not None:
            for other in edit.ladder:
                if other.method is Method.REMOTE:
                    await self.remote.pass_over(edit, other)
        return pieces

    async def _identity(self, edit: Edit, rung: Rung, told: Told) -> str | None:
        if rung.method is Method.LOCAL:
            found = await self._identities.get(Path(rung.location))
            return found.text if found is not None else None
        assert self.remote is not None  # noqa: S101  a plan with network sources has one
        while True:
            with contextlib.suppress(RenewedError):
                return await self.remote.identity(edit, rung, told)

    async def cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        """Cut an edit from a rung.

        Args:
            edit: The clip in its slot.
            rung: Where from.
            told: Is told of requests that are sent again.

        Returns:
            The pieces that fill the slot, in order; more than one where the source's timestamps begin anew in it.

        Raises:
            SourceError: The rung failed; says why.
            RenderError: There is no room to work in.
        """
        with self._naming(rung):
            return await self._cut(edit, rung, told)

    def _naming(self, rung: Rung) -> contextlib.AbstractContextManager[None]:
        """Have failures name the rung's source: what is made of it here is nobody's business."""
        return naming(self.folder, shown_source(rung.location, rung.method) or "the placeholder clip")

    async def _cut(self, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        if rung.method is Method.PLACEHOLDER:
            return (self._with_why(await self._fill(edit), Why.PLACEHOLDER),)
        if rung.method is Method.LOCAL:
            return await self._cut_local(edit, Path(rung.location), told)
        assert self.remote is not None  # noqa: S101  a plan with network sources has one
        while True:
            with contextlib.suppress(RenewedError):
                return await self._cut_remote(self.remote, edit, rung, told)

    async def _cut_local(self, edit: Edit, path: Path, told: Told) -> tuple[CutFile, ...]:
        pieces = await self._splice(edit, path, told)
        if self.shelf is not None:
            found, info = await self._identities.get(path), await self._probes.get(path)
            with contextlib.suppress(OSError):
                now = await self._in_thread(file_identity, path)
                if found is not None and found.seen == info.identity == now:  # else it changed meanwhile
                    await self.shelf.keep(edit, found.text, pieces)
        return pieces

    async def _splice(self, edit: Edit, path: Path, told: Told) -> tuple[CutFile, ...]:
        """Copy what needs no change, if that is wanted and pays; else encode the whole clip."""
        why = None
        if self._splicer is not None:
            spliced = await self._splicer.splice(edit, await self._probes.get(path))
            if not isinstance(spliced, Why):
                return spliced
            why = spliced
        cut = await self._cut_part(LocalPart(edit, path, self._probes), Method.LOCAL, told)
        return tuple(self._with_why(piece, why) for piece in cut)

    async def _cut_edge(self, edit: Edit, path: Path) -> tuple[CutFile, ...]:
        return await self._cut_part(LocalPart(edit, path, self._probes), Method.LOCAL, lambda _: None)

    def _with_why(self, cut: CutFile, why: Why | None) -> CutFile:
        return attrs.evolve(cut, why_encoded=why) if self.copies else cut

    async def _cut_remote(self, remote: Remote, edit: Edit, rung: Rung, told: Told) -> tuple[CutFile, ...]:
        self.listener.clip_stage(edit, rung.method, Stage.FETCH)
        pieces: list[CutFile] = []
        is_whole = False
        async with remote.parts(edit, rung, told) as media:
            try:
                for part in media.parts:
                    pieces += [self._with_why(cut, Why.REMOTE) for cut in await self._cut_part(part, rung.method, told)]
                is_whole = True
            finally:
                if not is_whole:
                    for piece in pieces:
                        remove_cut(piece)
            if self.shelf is not None and media.identity is not None:
                await self.shelf.keep(edit, media.identity, tuple(pieces))
        return tuple(pieces)

    async def probe(self, path: Path) -> MediaInfo:
        """Look into a file, and find out how its pictures are to be shown."""
        return await self.readers.run(probe_shown, path)

    async def _seen(self, info: MediaInfo) -> MediaInfo:
        """Return what this FFmpeg sees of a source; say once per file what it doesn't, and what becomes of HDR."""
        self._tell_of_hdr(info)
        if not info.video.has_alpha_layer or await self._has_decoder(ALPHA_DECODERS[info.video.codec]):
            return info
        if info.called not in self._alpha_told:
            self._alpha_told.add(info.called)
            words = f"{info.called} has transparent parts, and this FFmpeg has no {ALPHA_DECODERS[info.video.codec]}"
            self.listener.warning("source.alpha_lost", f"{words} decoder to see them: what they hide is shown")
        return attrs.evolve(info, video=attrs.evolve(info.video, has_alpha_layer=False, pixel_format="yuv420p"))

    async def _has_decoder(self, name: str) -> bool:
        """Ask FFmpeg whether it has a decoder: few sources need one that it may lack."""
        if name not in self._decoders:
            lines: list[bytes] = []
            await self._run([self.tool.path, "-hide_banner", "-h", f"decoder={name}"], lines.append, nullcontext())
            self._decoders[name] = any(line.startswith(f"Decoder {name} ".encode()) for line in lines)
        return self._decoders[name]

    def _tell_of_hdr(self, info: MediaInfo) -> None:
        """Say once per file what becomes of HDR."""
        if info.video.is_hdr and info.called not in self._hdr_told:
            self._hdr_told.add(info.called)
            can = self.tool.can_tone_map
            words = (
                "is HDR and is mapped to BT.709" if can else "is HDR, and this FFmpeg has no zscale: it comes out pale"
            )
            self.listener.warning("source.tone_mapped" if can else "source.not_tone_mapped", f"{info.called} {words}")

    async def _cut_part(self, part: Part, method: Method, told: Told) -> tuple[CutFile, ...]:
        with excerpt_files(self.folder / part.edit.stem) as path:
            return await self._cut_excerpt(part, method, told, path)

    async def _cut_excerpt(self, part: Part, method: Method, told: Told, path: Path) -> tuple[CutFile, ...]:
        info, excerpt = await self._excerpt(part, method, told, path)
        if excerpt.is_odd and not excerpt.places:
            return await self._cut_numbered(part, method, told, path)
        try:
            return await self._decoder.decode(part.edit, method, info, excerpt)
        except SourceError as exc:
            failure = exc
            if exc.reason is not Reason.UNDECODABLE:
                raise
        if excerpt.keyframe > info.video.zero:
            # Not every keyframe is a clean start: with intra refresh the picture heals over the next second. What is
            # really damaged fails again.
            info, excerpt = await self._excerpt(part, method, told, path, before=excerpt.keyframe)
            try:
                return await self._decoder.decode(part.edit, method, info, excerpt)
            except SourceError as exc:
                failure = exc
        if not isinstance(failure, OtherPicturesError) or excerpt.places:
            raise failure
        return await self._cut_numbered(part, method, told, path)

    def _is_untimed(self, info: MediaInfo) -> bool:
        """Tell whether it is known of a source that its packets don't tell of its pictures."""
        return info.video.is_untimed or info.called in self._numbered

    async def _cut_numbered(self, part: Part, method: Method, told: Told, path: Path) -> tuple[CutFile, ...]:
        """Cut from a source whose packets don't say which pictures there are, or when they are shown."""
        info, excerpt = await self._excerpt(part, method, told, path, is_numbered=True)
        cut = await self._decoder.decode(part.edit, method, info, excerpt)
        self._numbered.add(info.called)
        return cut

    async def _excerpt(
        self,
        part: Part,
        method: Method,
        told: Told,
        path: Path,
        *,
        before: Fraction | None = None,
        is_numbered: bool = False,
    ) -> tuple[MediaInfo, Excerpt]:
        """Copy the packets that a clip needs into files of their own; take more of the source where that's needed."""
        while True:
            if method is Method.LOCAL:
                self.listener.clip_stage(part.edit, method, Stage.PROBE)
            info = await self._seen(await part.info(told))
            self.listener.clip_stage(part.edit, method, Stage.COPY)
            need = build.need_of(part.edit, info.video, self.output.fps)
            need = attrs.evolve(need, before=before, tolerance=need.tolerance + info.lenience)
            try:
                excerpt = await self.readers.run(make_excerpt, info, need, path, is_numbered or self._is_untimed(info))
            except UncoveredError as exc:
                self.listener.clip_stage(part.edit, method, Stage.FETCH)
                part.extend(exc.side, is_sound=exc.is_sound)
                continue
            if not excerpt.pictures:
                raise SourceError(Reason.UNDECODABLE, f"{info.called} has no picture in the clip's range")
            return info, excerpt

    async def _fill(self, edit: Edit) -> CutFile:
        """Fill a slot with the placeholder clip; if that is missing or broken, with plain black and silence."""
        asset = self.placeholder()
        try:
            return await self._fills.fill(edit, await self._seen(await self._probes.get(asset)))
        except SourceError as exc:
            if asset not in self._placeholder_warned:
                self._placeholder_warned.add(asset)
                why = without_folder(str(exc), self.folder, str(asset))
                words = f"The placeholder clip can't be used, black is shown instead: {why}"
                self.listener.warning("placeholder.broken", words)
            return await self._fills.fill(edit, None)

    async def _conform_placeholder(self, edit: Edit, asset: MediaInfo | None, in_order: bool) -> CutFile:
        def argv(targets: build.Targets) -> list[str]:
            return build.placeholder_argv(self.tool.path, edit, asset, self.output, targets, in_order=in_order)

        called = asset.called if asset is not None else "black"
        return await self._encode(edit, Method.PLACEHOLDER, called, argv, lambda _: None)

    async def _encode(
        self,
        edit: Edit,
        method: Method,
        source: str,
        argv: Callable[[build.Targets], list[str]],
        note: Callable[[bytes], object],
        listen: Callable[[str], object] = lambda _: None,
    ) -> CutFile:
        """Run FFmpeg in an encoder place, and prove that it did what was asked: no error, exactly the slot's frames."""
        video, sound = self.folder / f"{edit.stem}.mov", self.folder / f"{edit.stem}.pcm"
        for path in (video, sound):
            path.unlink(missing_ok=True)  # a rung that failed before may have left one
        targets = build.Targets(
            video=video,
            sound=sound,
            threads=self.limits.threads_for(self.unfinished()),
            parameters=OURS if self.copies else 0,
        )
        tell, unfinished = partial(self.listener.clip_stage, edit, method), self.unfinished()
        place = encoder_place(self.limits, tell, unfinished=unfinished)
        said = await self._run(argv(targets), note, place, listen)
        judge(said, source)
        self.listener.clip_stage(edit, method, Stage.CHECK)
        frames = await self._in_thread(count_frames, video, self.output.fps)
        if frames != edit.slot.frames:
            raise SourceError(Reason.FFMPEG, f"FFmpeg made {frames} frames instead of {edit.slot.frames}")
        self._compare(await self._in_thread(parameters_of, video), source)
        return CutFile(video, sound if sound.exists() else None, edit.slot.frames, edit.slot.samples)

    def _compare(self, parameters: Parameters, source: str) -> None:
        """See that a clip can stand in one track with those before it; else it would cost the whole video in the end.

        Raises:
            SourceError: ``ffmpeg``; it says something of its pictures that an output's never say, or that others don't.
        """
        size = (self.output.width, self.output.height)
        if not is_plain(parameters, size) or not self._own.agrees(parameters):
            words = "FFmpeg encoded it with other parameters than all other clips; please report this with the file"
            raise SourceError(Reason.FFMPEG, f"{source}: {words}")
        self._own = parameters

    async def _run(
        self,
        argv: Sequence[str],
        on_stdout: Callable[[bytes], object],
        place: Place,
        listen: Callable[[str], object] = lambda _: None,
    ) -> Said:
        said = Said()

        def hear(line: str) -> None:
            said.hear(line)
            listen(line)

        try:
            said.done = await run(argv, on_stdout=on_stdout, on_stderr=hear, place=place)
        except OSError as exc:
            raise_if_machine(exc)
            raise SourceError(Reason.FFMPEG, f"FFmpeg can't be started: {exc.strerror}") from exc
        return said

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.limits.threads)
