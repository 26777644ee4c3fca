"""The timecode that a source's first frame carries, where its container says one."""

import re
from typing import TYPE_CHECKING, Self

import attrs

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_TIMECODE = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})([:;.])([0-9]{2,3})", re.ASCII)
_up_to = attrs.validators.le
_from = attrs.validators.ge(0)


@attrs.frozen
class Timecode:
    """A timecode: hours, minutes, seconds, frames; and whether numbers are dropped, as at 30000/1001 a second."""

    hours: int = attrs.field(validator=[_from, _up_to(99)])
    minutes: int = attrs.field(validator=[_from, _up_to(59)])
    seconds: int = attrs.field(validator=[_from, _up_to(59)])
    frames: int = attrs.field(validator=[_from, _up_to(999)])
    drops: bool

    def __str__(self) -> str:
        between = ";" if self.drops else ":"
        return f"{self.hours:02}:{self.minutes:02}:{self.seconds:02}{between}{self.frames:02}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read a timecode as FFmpeg writes it; None if it is none."""
        match = _TIMECODE.fullmatch(text.strip())
        if match is None or int(match[2]) > 59 or int(match[3]) > 59:
            return None
        return cls(int(match[1]), int(match[2]), int(match[3]), int(match[5]), match[4] != ":")


def start_timecode(container: "InputContainer", video: "Stream") -> Timecode | None:
    """Return the timecode of a file's first frame; None if it has none.

    The video stream's own counts first, then that of a timecode track, then the container's.
    """
    for tags in (video.metadata, *(stream.metadata for stream in container.streams.data), container.metadata):
        for name, text in tags.items():
            if name.lower() == "timecode" and (found := Timecode.read(text)) is not None:
                return found
    return None
