"""The one door to PyAV: its releases differ, and nobody else may notice."""

import re
from fractions import Fraction
from pathlib import Path

import attrs
import av
import pytest

from clipcut.ffmpeg.pyav import exact, open_input, open_output

PACKAGE = Path(__file__).parents[1] / "clipcut"


@attrs.frozen
class OwnRational:
    """A number like those of PyAV 19: not a ``Fraction``, and with 0 below for no value."""

    numerator: int
    denominator: int


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, None),
        (Fraction(1, 90_000), Fraction(1, 90_000)),
        (Fraction(0), None),
        (OwnRational(1001, 30_000), Fraction(1001, 30_000)),
        (OwnRational(0, 1), None),
        (OwnRational(0, 0), None),
        (OwnRational(1, 0), None),
    ],
)
def test_exact_when_a_release_has_its_own_numbers(number: OwnRational | None, expected: Fraction | None) -> None:
    """Every release's numbers become plain fractions; what is no number becomes None."""
    found = exact(number)
    assert expected == found
    assert found is None or type(found) is Fraction


def test_open_input_when_a_tag_is_not_utf8(tmp_path: Path) -> None:
    """A tag in another encoding costs nothing but its own letters."""
    path = tmp_path / "old.mov"
    with open_output(path, "mov", {}) as container:
        container.metadata["comment"] = "a title"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for packet in stream.encode(av.VideoFrame(64, 64, "yuv420p")) + stream.encode():
            container.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"a title", b"\xe9 titre"))
    with open_input(path, {}) as container:
        assert 1 == len(container.streams.video)
        assert container.metadata["comment"].endswith(" titre")


def test_package_when_media_is_opened() -> None:
    """No other module opens files with PyAV."""
    found = {path.name for path in PACKAGE.rglob("*.py") if re.search(r"\bav\.open\(", path.read_text())}
    assert {"pyav.py"} == found
