"""PyAV, through one door: how its releases differ is known here and nowhere else.

From 19 on, PyAV gives rational numbers of a type of its own, which rounds to 32 bits when two of them are multiplied,
and it decodes tags by itself. Before, it gave fractions or None, and refused a tag that isn't UTF-8 unless told not to.

PyAV is imported late: it takes 85 ms, and half of the commands never need it.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.frame import VideoFrame

_OWN_RATIONALS = 19
"""The first major version with rational numbers of its own, and without ``metadata_errors``."""


class Rational(Protocol):
    """A number as a release of PyAV gives it: a fraction, or its own kind, which has denominator 0 for no number."""

    @property
    def numerator(self) -> int:
        """The upper number."""
        ...

    @property
    def denominator(self) -> int:
        """The lower number."""
        ...


def open_input(path: Path, options: Mapping[str, str], *, form: str | None = None) -> "InputContainer":
    """Open a local file for demuxing, whatever bytes its tags hold.

    Args:
        path: The file; it is never taken for an address.
        options: Of the demuxer and the decoders.
        form: FFmpeg's name of its container; None to find out.

    Raises:
        av.FFmpegError, OSError, ValueError: It can't be opened.
    """
    import av  # noqa: PLC0415

    more = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < _OWN_RATIONALS else {}
    return av.open(f"file:{path}", format=form, options=dict(options), **more)


def open_output(path: Path, form: str, options: Mapping[str, str]) -> "OutputContainer":
    """Begin a file.

    Args:
        path: The file.
        form: FFmpeg's name of its container.
        options: Of the muxer.
    """
    import av  # noqa: PLC0415

    return av.open(f"file:{path}", "w", format=form, container_options=dict(options))


def exact(number: Rational | None) -> Fraction | None:
    """Return a number of PyAV's as a fraction; None for none, for 0, and for one with no value."""
    if number is None or not number.numerator or not number.denominator:
        return None
    return Fraction(number.numerator, number.denominator)


def side_data(frame: "VideoFrame") -> dict[str, bytes]:
    """Return what a decoder put on a picture beside it, by PyAV's names; what it has no name for is left out."""
    from av.sidedata.sidedata import Type  # noqa: PLC0415

    try:
        held = frame.side_data
    except ValueError:  # before 19, all is refused for the sake of one kind that it doesn't know
        return {}
    found = {kind.name: held.get(kind) for kind in Type}
    return {name: bytes(data) for name, data in found.items() if data is not None}
