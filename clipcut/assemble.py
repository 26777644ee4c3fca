"""Join the clips in timeline order as they finish, then mux and check: little is left to do after the last one.

Picture: packets are remuxed by PyAV with timestamps of whole frames. Sound: raw samples, exactly each slot's, go into
one FFmpeg that encodes them once for the whole output.
"""

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from clipcut.decode import remove_cut
from clipcut.errors import RenderError, SourceError
from clipcut.ffmpeg.argv import PCM_BYTES, sound_argv, soundtrack_argv
from clipcut.ffmpeg.judge import Said, judge
from clipcut.ffmpeg.mux import Master, VideoTrack, mux, verify
from clipcut.ffmpeg.process import Completed, Feed, open_feed, run
from clipcut.ffmpeg.readback import Span
from clipcut.joints import Passing, runs_on
from clipcut.limits import Limits
from clipcut.plan import Plan
from clipcut.results import ClipResult, SpanHashes

T = TypeVar("T")
_CHUNK = 1 << 17
"""How many samples are read at a time."""


@attrs.frozen(kw_only=True)
class Assembly:
    """The join of one render.

    Attributes:
        plan: What is joined.
        ffmpeg: The program that encodes the sound.
        folder: The private work folder.
        limits: Whose thread places are used.
        clip: Waits for a clip that is done, by index.
    """

    plan: Plan
    ffmpeg: str
    folder: Path
    limits: Limits
    clip: Callable[[int], Awaitable[ClipResult]]

    _track: VideoTrack = attrs.field(init=False)

    @_track.default
    def _new_track(self) -> VideoTrack:
        return VideoTrack(self._picture, self.plan.output.fps)

    @property
    def _picture(self) -> Path:
        return self.folder / "picture.mov"

    @property
    def _sound(self) -> Path:
        return self.folder / "sound.mp4"

    async def join(self) -> None:
        """Take every clip in timeline order as it finishes; its middle files are removed at once.

        Raises:
            RenderError: No room, or the sound could not be encoded.
        """
        try:
            track_sound = await self._soundtrack()
            replaces = self.plan.soundtrack is not None and self.plan.soundtrack.mode == "replace"
            mix_with = None if replaces else track_sound
            async with open_feed(sound_argv(self.ffmpeg, self.plan.output.audio, self._sound, mix_with)) as feed:
                if replaces:
                    await self._send_sound(feed, track_sound, self.plan.samples)
                await self._take_clips(feed, takes_sound=not replaces)
                _check_sound(await feed.finish())
        finally:
            with trio.CancelScope(shield=True):
                await self._in_thread(self._track.close)

    async def _take_clips(self, feed: Feed, *, takes_sound: bool) -> None:
        before: ClipResult | None = None
        passing: Passing | None = None
        for edit in self.plan.edits:
            result = await self.clip(edit.index)
            goes_on = before is not None and runs_on(before, result, self.plan.output.audio.sample_rate)
            if passing is not None:
                await _send(feed, passing.end(fades_out=not goes_on))
            passing = Passing(edit, self.plan.output.audio, fades_in=not goes_on) if takes_sound else None
            for cut in result.cut:
                await self._in_thread(self._track.append, cut.video, cut.frames)
                if passing is not None:
                    await self._send_sound(feed, cut.sound, cut.samples, passing.take)
                await self._in_thread(remove_cut, cut)
            before = result
        if passing is not None:
            await _send(feed, passing.end(fades_out=True))

    async def _soundtrack(self) -> Path | None:
        """Decode the soundtrack into exactly the output's samples; None if there is none."""
        track, audio = self.plan.soundtrack, self.plan.output.audio
        if track is None:
            return None
        target = self.folder / "soundtrack.pcm"
        said = Said()
        async with self.limits.encoders:
            argv = soundtrack_argv(self.ffmpeg, track, audio, self.plan.samples, target)
            said.done = await run(argv, on_stderr=said.hear)
        try:
            judge(said, track.path)  # silence that fills a hole would make its length right
        except SourceError as exc:
            raise RenderError(f"The soundtrack can't be decoded: {exc}.") from exc
        if target.stat().st_size != self.plan.samples * audio.channels * PCM_BYTES:
            raise RenderError(f"The soundtrack {track.path} did not decode to the output's length.")
        return target

    async def finish(self, target: Path, suffix: str, comment: str) -> tuple[SpanHashes, ...]:
        """Mux what was joined into ``target`` and hold the result against the plan.

        Args:
            target: A temporary name beside the output.
            suffix: The output's suffix, which decides the container.
            comment: The mark.

        Raises:
            RenderError: No room, or the file is not what it must be.
        """
        audio = self.plan.output.audio
        master = Master(
            fps=self.plan.output.fps,
            frames=self.plan.frames,
            sample_rate=audio.sample_rate,
            samples=self.plan.samples,
            comment=comment,
        )
        check = trio.from_thread.check_cancelled
        await self._in_thread(mux, self._picture, self._sound, target, suffix, master, check, self._track.parameters)
        found = await self._in_thread(verify, target, master, check)
        spans = [Span(edit.slot.start_frame, edit.slot.frames) for edit in self.plan.edits]
        return await self._in_thread(lambda: tuple(found.hashes(span) for span in spans))

    async def _send_sound(
        self, feed: Feed, sound: Path | None, samples: int, shape: Callable[[bytes], bytes] = bytes
    ) -> None:
        """Send so many samples of a file, and silence where it has no more; ``shape`` makes of some what is sent."""
        each = self.plan.output.audio.channels * PCM_BYTES
        async with contextlib.AsyncExitStack() as stack:
            file = await stack.enter_async_context(await trio.open_file(sound, "rb")) if sound is not None else None
            for first in range(0, samples, _CHUNK):
                size = min(_CHUNK, samples - first) * each
                data = await file.read(size) if file is not None else b""
                await _send(feed, shape(data.ljust(size, b"\0")))

    def _in_thread(self, function: Callable[..., T], *args: object) -> Awaitable[T]:
        return trio.to_thread.run_sync(function, *args, limiter=self.limits.threads)


async def _send(feed: Feed, data: bytes) -> None:
    if not await feed.send(data):
        _check_sound(await feed.finish())
        raise RenderError("The sound encoder stopped reading, and did not say why.")


def _check_sound(done: Completed) -> None:
    if done.returncode is None:
        raise RenderError("The sound encoder hung and was ended.")
    if done.returncode:
        said = done.stderr[-1] if done.stderr else "it said nothing"
        raise RenderError(f"The sound can't be encoded (FFmpeg ended with {done.returncode}): {said}.")
