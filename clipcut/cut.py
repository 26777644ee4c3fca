"""Cut one clip from one rung, and prove it: FFmpeg's exit status and frame count alone are no proof.

A cut holds when FFmpeg met no error, every picture that the source has in the clip's range came out of the decoder
(counted before anything is repeated to fill a slot), and the file has exactly the slot's frames.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import attrs
import trio

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg import argv as build
from clipcut.ffmpeg.excerpt import Excerpt, Need, make_excerpt
from clipcut.ffmpeg.mux import count_frames
from clipcut.ffmpeg.probe import MediaInfo, probe
from clipcut.ffmpeg.process import Completed, run
from clipcut.limits import Limits
from clipcut.plan import Edit, Method, Rung
from clipcut.results import CutFile
from clipcut.sources.resolve import Probes, media_path
from clipcut.timeline import Output

T = TypeVar("T")
_PICTURE = re.compile(rb"frame:\d+ +pts:(-?\d+) ")
_ERROR = re.compile(r"\[(?:error|fatal|panic)\] ")
_HARMLESS = re.compile(r"mmco: unref short failure")
"""What a decoder says of references that lie before an open group of pictures; a lost picture says more than that."""
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_REFUSED = re.compile(r"not on whitelist|[Pp]icture size .* is invalid|Video uses a .* is not supported")


class Cutter(Protocol):
    """Whoever makes a clip's file: FFmpeg here, a fake in tests."""

    async def cut(self, edit: Edit, rung: Rung) -> CutFile:
        """Cut an edit from a rung; raises ``SourceError`` if that can't be done, ``RenderError`` if nothing can."""
        ...


Warn = Callable[[str, str], None]


@attrs.define(kw_only=True)
class FFmpegCutter:
    """Cuts with FFmpeg children.

    Attributes:
        ffmpeg: The program.
        output: The form of the output.
        folder: The private work folder.
        limits: Whose encoder and thread places are used.
        placeholder: The placeholder clip.
        warn: Called with an event's name and words when something isn't as it should be.
        unfinished: Clips that are not finished yet; the last few get more threads each.
    """

    ffmpeg: str
    output: Output
    folder: Path
    limits: Limits
    placeholder: Path
    warn: Warn
    unfinished: Callable[[], int]
    _probes: Probes = attrs.field(init=False)
    _placeholder_warned: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        """Share one set of probes among all clips."""
        self._probes = Probes(lambda path: self._in_thread(probe, path))

    async def cut(self, edit: Edit, rung: Rung) -> CutFile:
        """Cut an edit from a rung.

        Raises:
            SourceError: The rung failed; says why.
            RenderError: There is no room to work in.
        """
        target = CutFile(self.folder / f"{edit.index:06}.mov", self.folder / f"{edit.index:06}.pcm")
        if rung.method is Method.PLACEHOLDER:
            return await self._fill(edit, target)
        info = await self._probes.get(media_path(rung))
        need = build.need_of(edit, info.video, self.output.fps)
        excerpt = await self._excerpt(edit, info, need)
        try:
            return await self._encode(edit, info, excerpt, target)
        except SourceError as exc:
            if exc.reason is not Reason.UNDECODABLE or excerpt.keyframe <= info.video.zero_seconds:
                raise
            # Not every keyframe is a clean start: with intra refresh the picture heals over the next second. What is
            # really damaged fails again.
            excerpt = await self._excerpt(edit, info, attrs.evolve(need, before=excerpt.keyframe))
            return await self._encode(edit, info, excerpt, target)
        finally:
            excerpt.path.unlink(missing_ok=True)

    async def _excerpt(self, edit: Edit, info: MediaInfo, need: Need) -> Excerpt:
        path = self.folder / f"{edit.index:06}.nut"
        try:
            excerpt = await self._in_thread(make_excerpt, info, need, path, trio.from_thread.check_cancelled)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if not excerpt.pictures:
            path.unlink(missing_ok=True)
            raise SourceError(Reason.UNDECODABLE, f"{info.path} has no picture in the clip's range")
        return excerpt

    async def _encode(self, edit: Edit, info: MediaInfo, excerpt: Excerpt, target: CutFile) -> CutFile:
        assert target.sound is not None  # noqa: S101  cut() named it
        wanted = set(build.plan_cut(edit, info.video, excerpt).pictures)

        def note(line: bytes) -> None:
            if match := _PICTURE.match(line):
                wanted.discard(int(match[1]))

        async with self.limits.encoders:
            done = await self._run(
                build.cut_argv(
                    self.ffmpeg,
                    edit,
                    info,
                    excerpt,
                    self.output,
                    threads=self.limits.threads_for(self.unfinished()),
                    video_target=target.video,
                    sound_target=target.sound,
                ),
                note,
            )
        judge(done, info.path)
        if wanted:
            raise SourceError(
                Reason.UNDECODABLE,
                f"{info.path}: {len(wanted)} of {len(excerpt.pictures)} pictures in the clip's range did not decode",
            )
        return await self._proven(edit, target)

    async def _fill(self, edit: Edit, target: CutFile) -> CutFile:
        """Fill a slot with the placeholder clip; if that is missing or broken, with plain black and silence."""
        try:
            return await self._conform_placeholder(edit, await self._probes.get(self.placeholder), target)
        except SourceError as exc:
            if not self._placeholder_warned:
                self._placeholder_warned = True
                self.warn("placeholder.broken", f"The placeholder clip can't be used, black is shown instead: {exc}")
            return await self._conform_placeholder(edit, None, target)

    async def _conform_placeholder(self, edit: Edit, asset: MediaInfo | None, target: CutFile) -> CutFile:
        assert target.sound is not None  # noqa: S101  cut() named it
        async with self.limits.encoders:
            done = await self._run(
                build.placeholder_argv(
                    self.ffmpeg,
                    edit,
                    asset,
                    self.output,
                    threads=self.limits.threads_for(self.unfinished()),
                    video_target=target.video,
                    sound_target=target.sound,
                ),
                lambda _: None,
            )
        judge(done, self.placeholder)
        return await self._proven(edit, target)

    async def _proven(self, edit: Edit, target: CutFile) -> CutFile:
        frames = await self._in_thread(count_frames, target.video, self.output.fps)
        if frames != edit.slot.frames:
            raise SourceError(Reason.FFMPEG, f"FFmpeg made {frames} frames instead of {edit.slot.frames}")
        has_sound = target.sound is not None and target.sound.exists()
        return target if has_sound else CutFile(target.video, None)

    async def _run(self, argv: Sequence[str], on_stdout: Callable[[bytes], object]) -> Completed:
        try:
            return await run(argv, on_stdout=on_stdout)
        except OSError as exc:
            raise SourceError(Reason.FFMPEG, f"FFmpeg can't be started: {exc.strerror}") from exc

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.limits.threads)


def judge(done: Completed, source: Path) -> None:
    """Hold what FFmpeg said and returned against what a good cut says and returns: no error, and 0.

    Raises:
        SourceError: ``undecodable``, ``refused`` or ``ffmpeg``.
        RenderError: There is no room to work in.
    """
    errors = [line for line in done.stderr if _ERROR.search(line) and not _HARMLESS.search(line)]
    if any(_NO_ROOM.search(line) for line in errors):
        raise RenderError(
            f"There is no room for working files: {_plain(errors[0])}. Free some, or name another --work-dir."
        )
    if done.returncode in (126, 127, 139, -11):
        raise SourceError(Reason.FFMPEG, f"FFmpeg crashed or can't be run (exit {done.returncode})")
    if any(_REFUSED.search(line) for line in errors):
        raise SourceError(Reason.REFUSED, f"{source}: {_plain(errors[0])}")
    if errors:
        raise SourceError(Reason.UNDECODABLE, f"{source}: {_plain(errors[0])}")
    if done.returncode:
        raise SourceError(Reason.FFMPEG, f"FFmpeg ended with {done.returncode}, and did not say why")


def _plain(line: str) -> str:
    """Leave away FFmpeg's module names and addresses."""
    return re.sub(r"^(\[[^\]]*@ 0x[0-9a-f]+\] ?)*\[\w+\] ", "", line)[:300]
