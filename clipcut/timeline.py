"""The cut list as written: Timeline, Output, Source, Soundtrack, Clip, and what must hold between them.

Times are Fractions of a second in *source time* (zero is the presentation time of the source's first video frame),
ranges are half-open. Each field's kind and its JSON Schema stand in the annotation.
"""

import collections
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated
from urllib.parse import urlsplit

import attrs

from clipcut.errors import Guesses, Mistake, child_path
from clipcut.redact import redact_url
from clipcut.scalars import (
    BITRATE,
    FILLED,
    FLAG,
    FRAME_RATE,
    GAIN,
    IDENTIFIER,
    OFFSET,
    PATHS,
    SECONDS,
    SECRET,
    SIZE,
    TEXT,
    choice,
    decimal,
    show,
)
from clipcut.timebase import decimal_text

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)

Seconds = Annotated[Fraction, SECONDS]

X264_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


@attrs.frozen(kw_only=True)
class VideoProfile:
    """How the picture is encoded: codec, constant rate factor (0 best to 51), x264 preset."""

    codec: Annotated[str, choice("h264")] = "h264"
    crf: Annotated[Fraction, decimal(0, 51)] = Fraction(23)
    preset: Annotated[str, choice(*X264_PRESETS)] = "veryfast"


@attrs.frozen(kw_only=True)
class AudioProfile:
    """How the sound is encoded: codec, bitrate, samples a second, channels; and the fade on each side of a cut."""

    codec: Annotated[str, choice("aac")] = "aac"
    bitrate: Annotated[str, BITRATE] = "192k"
    sample_rate: Annotated[int, choice(*AAC_RATES)] = 48000
    channels: Annotated[int, choice(1, 2, 6)] = 2
    fade_ms: Annotated[Fraction, decimal(0, 100)] = Fraction(5)


@attrs.frozen(kw_only=True)
class Output:
    """The finished video: path, size in pixels, frames a second, how other shapes fit in."""

    path: Annotated[str, FILLED] | None = None
    width: Annotated[int, SIZE] = 1280
    height: Annotated[int, SIZE] = 720
    fps: Annotated[Fraction, FRAME_RATE] = Fraction(30)
    fit: Annotated[str, choice("contain", "cover", "stretch")] = "contain"
    video: VideoProfile = VideoProfile()
    audio: AudioProfile = AudioProfile()


@attrs.frozen(kw_only=True)
class TwelveLabs:
    """A video of a TwelveLabs index."""

    index_id: Annotated[str, FILLED]
    video_id: Annotated[str, FILLED]


@attrs.frozen(kw_only=True)
class Source:
    """Where a video is: an address or path, or a TwelveLabs video, then local copies in the order to try them.

    Attributes:
        url: An http(s) or file address, or a path.
        twelvelabs: The TwelveLabs video.
        local: Paths of local copies.
        headers: What its own origin gets with each request.
        carry_query: Whether its own origin gets the query of its address with each request, too.
    """

    url: Annotated[str, FILLED] | None = None
    twelvelabs: TwelveLabs | None = None
    local: Annotated[tuple[str, ...], PATHS] | None = None
    headers: Mapping[str, Annotated[str, SECRET]] | None = attrs.field(default=None, hash=False, repr=False)
    carry_query: Annotated[bool, FLAG] = False


@attrs.frozen(kw_only=True)
class Soundtrack:
    """A local file with the sound of the whole, instead of the clips' or mixed with it; ``offset`` skips its begin."""

    path: Annotated[str, FILLED]
    mode: Annotated[str, choice("replace", "mix")] = "replace"
    offset: Annotated[Fraction, OFFSET] = Fraction(0)
    gain_db: Annotated[Fraction, GAIN] = Fraction(0)


@attrs.frozen(kw_only=True)
class Clip:
    """A named range of a source: ``[start, end)`` in source time; ``end`` or ``duration``, exactly one, is written."""

    id: Annotated[str, IDENTIFIER] | None = None
    video_id: Annotated[str, IDENTIFIER]
    start: Seconds
    end: Seconds | None = None
    duration: Seconds | None = None
    mute: Annotated[bool, FLAG] = False
    gain_db: Annotated[Fraction, GAIN] = Fraction(0)
    label: Annotated[str, TEXT] | None = None

    @property
    def length(self) -> Fraction:
        """Its exact duration in seconds."""
        return self.duration if self.duration is not None else (self.end or Fraction(0)) - self.start


@attrs.frozen(kw_only=True)
class Timeline:
    """The whole cut list, checked: ids are filled in and unique, each ``video_id`` has its source."""

    output: Output
    sources: Mapping[str, Source] = attrs.field(hash=False)
    soundtrack: Soundtrack | None = None
    clips: tuple[Clip, ...]


def automatic_id(index: int) -> str:
    """Name a clip that has no id; ``index`` counts from 0."""
    return f"clip-{index + 1:04}"


def _address_problem(address: str, schemes: Sequence[str]) -> str | None:
    """Return what is wrong with an address; None if it is a path or one of the given schemes."""
    match = _SCHEME.match(address)
    if match is None:
        return None
    scheme = match[1].lower()
    if scheme not in schemes:
        return f"is an address that can't be read here; write {', '.join(schemes)} or a path"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is not an address that can be understood"
    if scheme == "file" and (parts.netloc not in ("", "localhost") or "%00" in parts.path):
        return "is not a file of this machine; write file:///folder/name"
    return "names no host" if scheme != "file" and not parts.hostname else None


def source_mistakes(video_id: str, source: Source) -> Iterator[Mistake]:
    """Yield what is wrong between the fields of one source."""
    where = child_path("$.sources", video_id)
    if source.url is not None and source.twelvelabs is not None:
        yield Mistake(where, 'has both "url" and "twelvelabs"; keep one of them')
    if source.url is None and source.twelvelabs is None and source.local is None:
        yield Mistake(where, 'names no media; give it a "url", "twelvelabs" or "local"')
    addresses = [("url", source.url or "", ["http", "https", "file"])]
    addresses += [("local", path, ["file"]) for path in source.local or ()]
    for field, address, schemes in addresses:
        if (problem := _address_problem(address, schemes)) is not None:
            yield Mistake(f"{where}.{field}", f"{show(redact_url(address))} {problem}")
    for name in source.headers or ():
        if not _HEADER_NAME.fullmatch(name):
            yield Mistake(child_path(f"{where}.headers", name), "is not a name that a header can have")


def _listed(names: Iterable[str]) -> str:
    """Return ``; there are "…", "…"`` for a few names, else nothing."""
    few = list(itertools.islice(names, 9))
    return f"; there are {', '.join(show(name) for name in few)}" if 0 < len(few) < 9 else ""


def clip_mistakes(
    index: int,
    clip: Clip,
    known_ids: Collection[str] | None,
    fps: Fraction | None,
    guesses: Guesses | None = None,
) -> Iterator[Mistake]:
    """Yield what is wrong between the fields of one clip, and between it and the sources.

    Args:
        index: The clip's place in the document, from 0.
        clip: The clip.
        known_ids: The names under ``sources``; None if they could not be read.
        fps: Output frames a second; None if it could not be read.
        guesses: Those of the whole document; None for a clip that stands alone.
    """
    where = f"$.clips[{index}]"
    if known_ids is not None and clip.video_id not in known_ids:
        hint = (guesses or Guesses()).nearest(clip.video_id, known_ids) or _listed(known_ids)
        yield Mistake(f"{where}.video_id", f'no source is called "{clip.video_id}"{hint}')
    if clip.end is not None and clip.duration is not None:
        yield Mistake(where, 'has both "end" and "duration"; keep one of them')
    elif clip.end is None and clip.duration is None:
        yield Mistake(where, 'has neither "end" nor "duration"; give it one of them')
    elif clip.length <= 0:
        field = "end" if clip.end is not None else "duration"
        start, value = decimal_text(clip.start), decimal_text(clip.end if clip.end is not None else clip.length)
        rule = f"is not after the start, {start}" if field == "end" else "is no length; write more than 0"
        yield Mistake(f"{where}.{field}", f"{value} {rule}")
    elif fps is not None and clip.length * fps < 1:
        length, frame = decimal_text(clip.length), decimal_text(1 / fps)
        yield Mistake(where, f"is {length} s long, less than one output frame ({frame} s); make it longer")


def id_mistakes(clips: Sequence[Clip | None]) -> Iterator[Mistake]:
    """Yield a mistake for each id that stood before, automatic ones included (None: a clip that could not be read)."""
    seen: dict[str, int] = {}
    for index, clip in enumerate(clips):
        if clip is None:
            continue
        name = clip.id if clip.id is not None else automatic_id(index)
        first = seen.setdefault(name, index)
        if first != index:
            yield Mistake(f"$.clips[{index}].id", f'"{name}" is the id of $.clips[{first}] too; ids are unique')


def named_clips(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Fill in the ids that were left out."""
    return tuple(attrs.evolve(clip, id=clip.id or automatic_id(index)) for index, clip in enumerate(clips))


def clips_per_video(timeline: Timeline) -> collections.Counter[str]:
    """Count the clips of each ``video_id``."""
    return collections.Counter(clip.video_id for clip in timeline.clips)
