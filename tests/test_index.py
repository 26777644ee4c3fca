"""Which bytes a clip needs, held against a model of single bytes and against what PyAV reads."""

import itertools
from array import array
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import make_source

from clipcut.errors import SourceError
from clipcut.ffmpeg.need import Need
from clipcut.sources.file.index import NEAR, Index, Range, Samples, Spans, gaps, merged, read_index
from clipcut.sources.file.shadow import get_bytes, make_shadow, put_bytes

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda each: (each[0], sum(each))), max_size=12)


def held(ranges: Sequence[Range]) -> set[int]:
    """Return every single byte of some ranges."""
    return {byte for first, end in ranges for byte in range(first, end)}


@given(RANGES, st.integers(0, 9))
def test_merged_when_compared_byte_by_byte(ranges: list[Range], near: int) -> None:
    """All bytes are kept, in order; ranges lie further apart than what is near; others only fill what is near."""
    found = merged(ranges, near)

    assert held(ranges) <= held(found)
    assert all(before[1] + near < after[0] for before, after in itertools.pairwise(found))
    filled = merged((byte, byte + 1) for byte in held(found) - held(ranges))
    assert all(end - first <= near for first, end in filled)


@given(RANGES, RANGES)
def test_gaps_when_compared_byte_by_byte(ranges: list[Range], taken: list[Range]) -> None:
    """What is wanted and not taken is left, in order, and no byte twice."""
    found = gaps(ranges, taken)

    assert held(ranges) - held(taken) == held(found)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(found))
    assert all(first < end for first, end in found)


@given(RANGES, RANGES)
def test_spans_when_compared_byte_by_byte(added: list[Range], asked: list[Range]) -> None:
    """They hold what was added, one by one, and what was there at a moment stays what it was."""
    spans, then = Spans(), Spans().now()
    for number, (first, end) in enumerate(added):
        if number == len(added) // 2:
            then = spans.now()
        spans.add(first, end)

    there, before = held(added), held(added[: len(added) // 2])
    for first, end in asked:
        wanted = held([(first, end)])
        assert (wanted <= there) is spans.has(first, end)
        assert (wanted <= before) is then(first, end)
        assert wanted - there == held(spans.missing(first, end))


def samples(times: Sequence[int], keys: Sequence[int], delay: int = 0) -> Samples:
    """Make samples of 10 bytes, each 100 bytes after the one before, a tenth of a second a tick."""
    places = array("q", range(0, 100 * len(times), 100))
    sizes = array("q", [10] * len(times))
    return Samples(Fraction(1, 10), array("q", times), places, sizes, array("q", keys), delay)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param(Fraction(-1), 0, id="before the first"),
        pytest.param(Fraction(2, 10), 0, id="first"),
        pytest.param(Fraction(59, 100), 0, id="a moment before"),
        pytest.param(Fraction(6, 10), 1, id="at it"),
        pytest.param(Fraction(99), 2, id="past the end"),
    ],
)
def test_key_before_when_shown_later_than_decoded(moment: Fraction, expected: int) -> None:
    """A keyframe counts from when it is shown."""
    assert expected == samples(range(12), [0, 4, 8], delay=2).key_before(moment)


@pytest.mark.parametrize(("tenths", "expected"), [(-1, 0), (0, 1), (1.9, 2), (2, 3), (90, 4)])
def test_after_when_between_samples(tenths: float, expected: int) -> None:
    """A sample that is decoded at the moment itself isn't after it."""
    assert expected == samples(range(4), [0]).after(Fraction(tenths) / 10)


def test_ranges_when_begun_earlier() -> None:
    """Each step goes one keyframe back, and no further than the first."""
    index = Index(samples(range(12), [0, 4, 8]), None)
    need = make_need(Fraction(9, 10), Fraction(1))

    assert [800, 400, 0, 0, 0] == [index.ranges(need, earlier=earlier)[0][0] for earlier in range(5)]


def test_ranges_when_there_is_no_keyframe() -> None:
    """All from the begin on is needed."""
    assert [(0, 310)] == Index(samples(range(12), []), None).ranges(make_need(Fraction(2, 10), Fraction(3, 10)))


def make_need(first: Fraction, last: Fraction) -> Need:
    """Make a need of pictures and of the sound that goes with them."""
    return Need(first=first, last=last, sound=(first, last), end=last, tolerance=Fraction(0))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """A source of 6 s with B-frames and a keyframe each second, large enough for gaps."""
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-pix_fmt", "yuv420p")
    more = ("-x264-params", "bframes=3:scenecut=0", "-movflags", "+faststart")
    path = tmp_path_factory.mktemp("index") / "source.mp4"
    return make_source(path, ffmpeg=packaged, source_id=1, seconds=6, gop=30, video_args=(*args, *more))


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, Range, bool]]:
    """Return when each packet is shown and for how long, where it is, and whether decoding can begin there."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0] if kind == "video" else container.streams.audio[0]
        tick = stream.time_base
        return [
            (each.pts * tick, each.duration * tick, (each.pos, each.pos + each.size), each.is_keyframe)
            for each in container.demux(stream)
            if each.pts is not None and each.pos is not None
        ]


NEEDS = [
    (Fraction(0), Fraction(1, 2)),
    (Fraction(59, 60), Fraction(61, 60)),
    (Fraction(1), Fraction(2)),
    (Fraction(5, 2), Fraction(13, 5)),
    (Fraction(31, 10), Fraction(47, 10)),
    (Fraction(57, 10), Fraction(6)),
]


def needed(path: Path, first: Fraction, last: Fraction) -> list[Range]:
    """Return where those packets are that a clip can't do without."""
    video = packets(path, "video")
    key = max(shown for shown, _, _, is_key in video if is_key and shown <= first)
    found = [place for shown, _, place, _ in video if key <= shown <= last]
    return found + [
        place for shown, lasts, place, _ in packets(path, "audio") if shown < last and first < shown + lasts
    ]


@pytest.mark.media
@pytest.mark.parametrize(("first", "last"), NEEDS)
def test_ranges_when_compared_with_the_packets(numbered: Path, first: Fraction, last: Fraction) -> None:
    """They hold all that the clip needs; and of others no more than lead and tail and what is near."""
    index = read_index(numbered)

    found = index.ranges(make_need(first, last))

    wanted = needed(numbered, first, last)
    assert all(any(begin <= place[0] and place[1] <= end for begin, end in found) for place in wanted)
    lead = [place for shown, _, place, _ in packets(numbered, "audio") if first - Fraction(1, 2) < shown <= last]
    tail = [place for shown, _, place, _ in packets(numbered, "video") if last < shown <= last + Fraction(5, 30)]
    allowed = merged([*wanted, *lead, *tail], NEAR)
    assert [] == gaps(found, allowed)


@pytest.mark.media
@pytest.mark.parametrize(("first", "last"), NEEDS)
def test_ranges_when_only_they_are_there(numbered: Path, tmp_path: Path, first: Fraction, last: Fraction) -> None:
    """The index can be read of a file with nothing else, and the packets have their bytes."""
    index = read_index(numbered)
    moov = min(each[0] for each in index.ranges(make_need(Fraction(0), Fraction(6))))
    size = numbered.stat().st_size
    shadow = tmp_path / "shadow"
    make_shadow(shadow, size)
    for begin, end in [(0, moov), *index.ranges(make_need(first, last))]:
        put_bytes(shadow, get_bytes(numbered, begin, end), begin)

    assert index == read_index(shadow)
    for begin, end in needed(numbered, first, last):
        assert get_bytes(numbered, begin, end) == get_bytes(shadow, begin, end)


@pytest.mark.media
def test_first_picture_when_read(numbered: Path) -> None:
    """It is the first packet."""
    assert packets(numbered, "video")[0][2] == read_index(numbered).first_picture


def test_read_index_when_it_is_no_video(tmp_path: Path) -> None:
    """It is a failure of the source."""
    make_shadow(tmp_path / "a", 1000)

    with pytest.raises(SourceError):
        read_index(tmp_path / "a")
