"""Where one clip's sound meets the next: it runs on, or fades out and in, so that a cut doesn't click.

That is decided and done at the join, which knows what each clip was made from: a clip by itself doesn't.
"""

import functools
from array import array
from collections.abc import Sequence
from fractions import Fraction
from operator import mul

import attrs

from clipcut.ffmpeg.argv import PCM_BYTES
from clipcut.plan import Edit, Method, Rung
from clipcut.results import ClipResult
from clipcut.timebase import round_half_up
from clipcut.timeline import AudioProfile


def runs_on(before: ClipResult, after: ClipResult, sample_rate: int) -> bool:
    """Tell whether what is heard of a clip goes on in the next as if there were no cut.

    That is so where both were made from the same media, are equally loud, and the second begins, within a sample, where
    the first one's slot ends. A slot is whole frames long, so that needn't be where its clip was to end.
    """
    one, other = before.edit, after.edit
    reached = one.clip.start + Fraction(one.slot.samples, sample_rate)
    return (
        _made_from(before) is not None
        and (one.clip.video_id, _made_from(before)) == (other.clip.video_id, _made_from(after))
        and (one.is_silent, one.clip.gain_db) == (other.is_silent, other.clip.gain_db)
        and abs(reached - other.clip.start) * sample_rate <= 1
    )


def _made_from(result: ClipResult) -> Rung | None:
    """Return the rung that a clip was made from; None for the placeholder, which begins anew in each slot."""
    if not result.attempts or result.attempts[-1].method is Method.PLACEHOLDER:
        return None
    return result.edit.ladder[len(result.attempts) - 1]  # each rung before it has its attempt


@functools.lru_cache(maxsize=64)
def _rising(length: int, channels: int) -> tuple[float, ...]:
    """Return what each value of a fade in is multiplied by, as FFmpeg's ``afade`` has it: from 0 to just below 1."""
    return tuple(frame / length for frame in range(length) for _ in range(channels))


@functools.lru_cache(maxsize=64)
def _falling(length: int, channels: int) -> tuple[float, ...]:
    """Return the same of a fade out: from 1 to just above 0."""
    return tuple(frame / length for frame in range(length, 0, -1) for _ in range(channels))


def _scaled(data: bytes, factors: Sequence[float]) -> bytes:
    return array("f", map(mul, array("f", data), factors)).tobytes()


def fade_samples(edit: Edit, audio: AudioProfile) -> int:
    """Return how many samples a fade at either end of a clip has."""
    return min(round_half_up(audio.fade_ms * audio.sample_rate / 1000), edit.slot.samples // 2)


@attrs.define(eq=False)
class Passing:
    """A clip's sound on its way into the output, some at a time: its end is held back until it is known what follows.

    Attributes:
        edit: The clip.
        audio: The output's form.
        fades_in: Whether it doesn't run on from the clip before.
    """

    edit: Edit
    audio: AudioProfile
    fades_in: bool
    _at: int = attrs.field(init=False, default=0)
    _end: bytearray = attrs.field(init=False, factory=bytearray)

    @property
    def _fade(self) -> int:
        """How many bytes a fade has."""
        return fade_samples(self.edit, self.audio) * self.audio.channels * PCM_BYTES

    def take(self, data: bytes) -> bytes:
        """Take the next whole samples, and return what of them may go."""
        begin, self._at = self._at, self._at + len(data)
        if self.fades_in and begin < self._fade:
            head, data = data[: self._fade - begin], data[self._fade - begin :]
            factors = _rising(fade_samples(self.edit, self.audio), self.audio.channels)
            data = _scaled(head, factors[begin // PCM_BYTES :]) + data
        kept = self.edit.slot.samples * self.audio.channels * PCM_BYTES - self._fade
        split = min(len(data), max(0, kept - begin))
        self._end += data[split:]
        return data[:split]

    def end(self, *, fades_out: bool) -> bytes:
        """Return what was held back."""
        if not fades_out:
            return bytes(self._end)
        return _scaled(bytes(self._end), _falling(fade_samples(self.edit, self.audio), self.audio.channels))
