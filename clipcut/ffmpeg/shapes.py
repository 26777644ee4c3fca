"""What each decoded picture is, as FFmpeg's ``showinfo`` says it: size, pixels, fields, colours. Pure.

A file's head says what its first pictures are. Later ones may be larger, upright, wider, interlaced or HDR: a phone
that was turned in a call, adverts in a broadcast. So every picture of a clip is held against what it was taken for.
"""

import bisect
import itertools
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

import attrs

from clipcut.ffmpeg.crops import UNCROPPED
from clipcut.ffmpeg.probe import Stated, VideoInfo

SHOWINFO = "showinfo=checksum=0"
"""The filter that writes a picture's lines, on level ``info``."""

_PICTURE = re.compile(r"\] n: *\d+ pts: *(-?\d+) .*? fmt:(\w+) .*?sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\S)")
_COLOURS = re.compile(r"\] color_range:(\S+) color_space:(\S+) color_primaries:\S+ color_trc:(\S+)")

_MATRICES = {"gbr": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "ycgco": 8}
_MATRICES |= {"bt2020nc": 9, "bt2020c": 10}
_CURVES = {"bt709": 1, "bt470m": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "linear": 8, "iec61966-2-1": 13}
_CURVES |= {"bt2020-10": 14, "bt2020-12": 15, "smpte2084": 16, "smpte428": 17, "arib-std-b67": 18}


@attrs.frozen
class Shape:
    """What one decoded picture is; what its stream doesn't say is None, or no aspect."""

    width: int
    height: int
    pixel_format: str
    is_interlaced: bool
    stated: Stated


@attrs.define
class Shapes:
    """Hears what FFmpeg says of pictures, line by line.

    Attributes:
        found: What each picture is, by its time in the filter's ticks.
    """

    found: dict[int, Shape] = attrs.field(factory=dict)
    _match: "re.Match[str] | None" = None

    def hear(self, line: str) -> None:
        """Take a line, if it is one of those."""
        if match := _PICTURE.search(line):
            self._match = match
        elif self._match is not None and (match := _COLOURS.search(line)):
            pts, form, up, down, width, height, fields = self._match.groups()
            aspect = Fraction(int(up), int(down)) if int(up) and int(down) else None
            span, matrix, curve = match.groups()
            stated = Stated(
                aspect=aspect,
                full_range={"pc": True, "tv": False}.get(span),
                matrix=_MATRICES.get(matrix),
                transfer=_CURVES.get(curve),
            )
            self.found[int(pts)] = Shape(int(width), int(height), form, fields in ("T", "B"), stated)
            self._match = None


def seen_as(video: VideoInfo, shape: Shape) -> VideoInfo:
    """Return what a picture is to be taken for: as the head of its file says, but for what was stated otherwise since.

    A container may overrule what a stream states; where the stream states the same as at its head, it still does.
    """
    said = video.stated or Stated(
        aspect=video.sample_aspect, full_range=video.full_range, matrix=video.matrix, transfer=video.transfer
    )
    now, pixels, is_jpeg = shape.stated, shape.pixel_format, shape.pixel_format.startswith("yuvj")
    pixels = "yuv" + pixels[4:] if is_jpeg else pixels
    before = (video.pixel_format or "").replace("yuvj", "yuv")
    # a container that says how wide pixels are is believed all along
    follows = now.aspect is not None and now.aspect != said.aspect and said.aspect in (None, video.sample_aspect)
    full = True if is_jpeg else now.full_range
    seen = attrs.evolve(
        video,
        width=shape.width,
        height=shape.height,
        sample_aspect=now.aspect if follows and now.aspect is not None else video.sample_aspect,
        pixel_format=video.pixel_format if pixels == before else shape.pixel_format,
        full_range=video.full_range if full is None or full == said.full_range else full,
        matrix=video.matrix if now.matrix is None or now.matrix == said.matrix else now.matrix,
        transfer=video.transfer if now.transfer is None or now.transfer == said.transfer else now.transfer,
        is_interlaced=video.is_interlaced or shape.is_interlaced,
    )
    has_size = (seen.width, seen.height) == (video.width, video.height)
    return seen if has_size else attrs.evolve(seen, crop=UNCROPPED)  # the container crops pictures of its own size


@attrs.frozen
class Run:
    """Frames of a slot, ``[first, end)``, whose pictures are all alike, and what they are."""

    first: int
    end: int
    video: VideoInfo


def runs_of(
    video: VideoInfo, shapes: Mapping[int, Shape], limits: Sequence[int], changes: Sequence[int] = ()
) -> list[Run]:
    """Part a slot's frames where its pictures change.

    Fields are looked at picture by picture when they are deinterlaced, so they part nothing.

    Args:
        video: What the head of the file says.
        shapes: What each picture is, by its time; one at least.
        limits: For each frame, the latest time at which the picture that it shows may begin, in the same ticks.
        changes: When pictures come before which the slot is parted in any case, ascending.
    """
    times = sorted(shapes)
    begun = [times[max(0, bisect.bisect_right(times, limit) - 1)] for limit in limits]
    shown = [(bisect.bisect_right(changes, time), seen_as(video, shapes[time])) for time in begun]
    runs, first = [], 0
    for _, some in itertools.groupby(shown, key=lambda one: (one[0], attrs.evolve(one[1], is_interlaced=False))):
        alike = [each for _, each in some]
        mixed = attrs.evolve(alike[0], is_interlaced=any(one.is_interlaced for one in alike))
        runs.append(Run(first, first + len(alike), mixed))
        first += len(alike)
    return runs


def differs(video: VideoInfo, taken: VideoInfo, shapes: Mapping[int, Shape]) -> int | None:
    """Return the time of the first picture that is not what it was taken for; None if all are.

    Args:
        video: What the head of the file says.
        taken: What the pictures were taken for.
        shapes: What each is, by its time.
    """
    kinds = {shape: seen_as(video, shape) for shape in set(shapes.values())}
    wrong = {
        shape
        for shape, seen in kinds.items()
        if attrs.evolve(seen, is_interlaced=False) != attrs.evolve(taken, is_interlaced=False)
        or (seen.is_interlaced and not taken.is_interlaced)
    }
    return min((pts for pts, shape in shapes.items() if shape in wrong), default=None) if wrong else None
