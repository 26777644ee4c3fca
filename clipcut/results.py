"""What happened: an Attempt per rung, a ClipResult per edit, a RenderResult for the whole."""

import enum
from collections.abc import Sequence
from pathlib import Path

import attrs

from clipcut.errors import Reason
from clipcut.plan import Edit, Method, Rung
from clipcut.smart import Why
from clipcut.used import Used, joined


class Status(enum.StrEnum):
    """How a clip ended; each clip has exactly one."""

    SUCCESS = "success"
    FALLBACK_LOCAL = "fallback-local"
    FALLBACK_PLACEHOLDER = "fallback-placeholder"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(enum.StrEnum):
    """How a rung ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class RenderStatus(enum.StrEnum):
    """How a render ended."""

    COMPLETE = "complete"
    DEGRADED = "degraded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@attrs.frozen(kw_only=True)
class Attempt:
    """One rung that was tried.

    Attributes:
        method: Which kind of rung.
        outcome: How it ended.
        reason: Why it failed; None unless it did.
        message: The same in words, for people.
        retries: Requests that were sent again.
        duration_ms: How long it took, in milliseconds.
    """

    method: Method
    outcome: Outcome
    reason: Reason | None = None
    message: str | None = None
    retries: int = 0
    duration_ms: int = 0


@attrs.frozen
class CutFile:
    """A clip that was cut and proven: exactly the slot's frames, and its sound.

    Attributes:
        video: A MOV file with one H.264 stream.
        sound: Raw 32-bit float samples, interleaved, at the output's rate and channels; None for silence.
        frames, samples: How many output frames it has, and how many samples per channel it stands for.
        is_copied: Whether its pictures are the source's own.
        why_encoded: Why they are not, in a render that copies where it can; None elsewhere.
        used: Which frames of its source it shows; None for a placeholder.
    """

    video: Path
    sound: Path | None
    frames: int
    samples: int
    is_copied: bool = False
    why_encoded: Why | None = None
    used: Used | None = None


@attrs.frozen(kw_only=True)
class ClipResult:
    """How one clip ended.

    Attributes:
        edit: Which clip.
        status: How it ended.
        attempts: One per rung that was tried, in order.
        parallel_slot: The lowest place that was free when it came to work, from 0; None if it never did, or was at work
            only to find out that it was finished before.
        duration_ms: How long it was at work, in milliseconds; 0 without a slot.
        is_cached: Whether an earlier render had finished it.
        cut: The finished pieces that make it, in order; empty unless it is done.
    """

    edit: Edit
    status: Status
    attempts: tuple[Attempt, ...] = ()
    parallel_slot: int | None = None
    duration_ms: int = 0
    is_cached: bool = False
    cut: tuple[CutFile, ...] = ()

    @property
    def copied_frames(self) -> int:
        """How many of its frames are the source's own pictures."""
        return sum(piece.frames for piece in self.cut if piece.is_copied)

    @property
    def why_encoded(self) -> Why | None:
        """Why nothing of it was copied, in a render that copies where it can."""
        return next((piece.why_encoded for piece in self.cut if piece.why_encoded is not None), None)

    @property
    def used(self) -> Used | None:
        """Which frames of its source it shows; None where it has none."""
        return joined([piece.used for piece in self.cut])

    @property
    def rung(self) -> Rung | None:
        """The rung that held; None if none did. Each rung that was tried left one attempt."""
        if not self.cut or not self.attempts:
            return None
        is_filled = self.attempts[-1].method is Method.PLACEHOLDER
        return self.edit.ladder[-1 if is_filled else len(self.attempts) - 1]

    @property
    def fallback_reason(self) -> Reason | None:
        """The first failed rung's reason."""
        return next((attempt.reason for attempt in self.attempts if attempt.reason is not None), None)


def status_after(attempts: Sequence[Attempt]) -> Status:
    """Name the status of a clip whose last attempt went well."""
    if len(attempts) == 1 and attempts[0].method is not Method.PLACEHOLDER:
        return Status.SUCCESS
    return Status.FALLBACK_PLACEHOLDER if attempts[-1].method is Method.PLACEHOLDER else Status.FALLBACK_LOCAL


@attrs.frozen
class SpanHashes:
    """What is coded in a clip's span of an output: 32 hex digits each; None where a part of it isn't there."""

    picture: str | None
    sound: str | None


@attrs.frozen
class OutputFacts:
    """The finished video: bytes, frames, the duration in seconds that they make, and each clip's hashes, in order."""

    path: Path
    size: int
    frames: int
    duration_s: float
    hashes: tuple[SpanHashes, ...]


@attrs.frozen
class Fetched:
    """What came over the network: requests sent, those of them that were sent again, bytes of bodies."""

    requests: int = 0
    retries: int = 0
    size: int = 0


@attrs.frozen(kw_only=True)
class RenderResult:
    """How the whole render ended.

    Attributes:
        status: How.
        exit_code: What the process returns.
        error: What went wrong, in words; None unless it failed or was interrupted.
        clips: One result per clip, in timeline order.
        output: The finished video; None if there is no new one.
        ffmpeg: The version of the FFmpeg that was used; None if none was found.
        peak_parallelism: The most clips that were at work at once.
        peak_per_video: The most of one video.
        elapsed_ms: From the start of the render to its end, in milliseconds.
        fetched: What came over the network.
    """

    status: RenderStatus
    exit_code: int
    error: str | None
    clips: tuple[ClipResult, ...]
    output: OutputFacts | None
    ffmpeg: str | None
    peak_parallelism: int
    peak_per_video: int
    elapsed_ms: int
    fetched: Fetched = Fetched()
