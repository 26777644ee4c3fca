"""Proofs of what must hold between the fields of a timeline: ends, lengths, sources, ids."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import Mistake
from clipcut.timeline import (
    Clip,
    Output,
    Source,
    Timeline,
    TwelveLabs,
    automatic_id,
    clip_mistakes,
    clips_per_video,
    id_mistakes,
    named_clips,
    source_mistakes,
)

FPS = Fraction(30)
TWELVELABS = TwelveLabs(index_id="i", video_id="v")


def clip(**fields: Any) -> Clip:
    """A clip of one second of v1, some fields replaced."""
    values: dict[str, Any] = {"video_id": "v1", "start": Fraction(0), "duration": Fraction(1)} | fields
    return Clip(**values)


def ending(start: str, end: str) -> Clip:
    """A clip that is written with its end."""
    return clip(start=Fraction(start), end=Fraction(end), duration=None)


def found(mistakes: Any) -> list[tuple[str, str]]:
    """The paths and words of mistakes."""
    return [(mistake.where, mistake.what) for mistake in mistakes]


@pytest.mark.parametrize(
    ("one", "length"),
    [
        pytest.param(ending("12.5", "15"), Fraction(5, 2), id="end"),
        pytest.param(clip(start=Fraction(7), duration=Fraction("2.4")), Fraction(12, 5), id="duration"),
        pytest.param(ending("0.1", "0.3"), Fraction(1, 5), id="tenths"),
    ],
)
def test_clip_length_when(one: Clip, length: Fraction) -> None:
    """A clip's length is exact, from its end or its duration."""
    assert length == one.length


@pytest.mark.parametrize(
    ("one", "where", "hint"),
    [
        pytest.param(ending("5", "5"), "$.clips[3].end", "5 is not after the start, 5", id="end at the start"),
        pytest.param(ending("5.25", "4.5"), "$.clips[3].end", "4.5 is not after the start, 5.25", id="end before"),
        pytest.param(clip(duration=Fraction(0)), "$.clips[3].duration", "more than 0", id="no duration"),
        pytest.param(clip(duration=None), "$.clips[3]", "neither", id="neither end nor duration"),
        pytest.param(clip(end=Fraction(1)), "$.clips[3]", "both", id="both end and duration"),
        pytest.param(clip(end=Fraction(0)), "$.clips[3]", "both", id="both, one of them zero"),
        pytest.param(clip(duration=Fraction("0.033")), "$.clips[3]", "0.033333333333 s", id="less than a frame"),
        pytest.param(clip(video_id="intor"), "$.clips[3].video_id", 'did you mean "intro"', id="video near one"),
        pytest.param(clip(video_id="song"), "$.clips[3].video_id", 'no source is called "song"', id="unknown video"),
    ],
)
def test_clip_mistakes_when_one(one: Clip, where: str, hint: str) -> None:
    """Each rule has its own words at its own path."""
    ((at, what),) = found(clip_mistakes(3, one, ["v1", "intro", "other"], FPS))
    assert where == at
    assert hint in what


@pytest.mark.parametrize(
    ("one", "fps"),
    [
        pytest.param(clip(duration=Fraction(1, 30)), FPS, id="exactly a frame"),
        pytest.param(clip(duration=Fraction("0.034")), FPS, id="a little more than a frame"),
        pytest.param(clip(duration=Fraction(1001, 30000)), Fraction(30000, 1001), id="a frame of NTSC"),
        pytest.param(clip(duration=Fraction("0.001")), None, id="unknown rate"),
    ],
)
def test_clip_mistakes_when_none(one: Clip, fps: Fraction | None) -> None:
    """A frame is long enough, and an unknown rate is no reason to complain."""
    assert [] == list(clip_mistakes(0, one, ["v1"], fps))


def test_clip_mistakes_when_sources_are_unknown() -> None:
    """Sources that could not be read are not held against a clip, sources that are none are."""
    assert [] == list(clip_mistakes(0, clip(), None, FPS))
    assert ["$.clips[0].video_id"] == [mistake.where for mistake in clip_mistakes(0, clip(), [], FPS)]


@given(st.integers(1, 240), st.fractions(min_value=0, max_value=2, max_denominator=1000))
def test_clip_mistakes_when_any_length(fps: int, length: Fraction) -> None:
    """A clip is refused exactly when it is shorter than one output frame."""
    refused = bool(list(clip_mistakes(0, clip(duration=length), ["v1"], Fraction(fps))))
    assert (length < Fraction(1, fps)) == refused


@pytest.mark.parametrize(
    ("source", "where", "hint"),
    [
        pytest.param(Source(url="a", twelvelabs=TWELVELABS), "$.sources.v1", "both", id="url and twelvelabs"),
        pytest.param(Source(), "$.sources.v1", "no media", id="nothing"),
        pytest.param(Source(url="s3://bucket/v1.mp4"), "$.sources.v1.url", "http, https, file", id="unknown scheme"),
        pytest.param(Source(url="http:///v1.mp4"), "$.sources.v1.url", "no host", id="no host"),
        pytest.param(Source(url="file://[x"), "$.sources.v1.url", "understood", id="half a bracket"),
        pytest.param(Source(local=("a", "s3://b/k")), "$.sources.v1.local", "s3://b/k", id="unknown scheme of a copy"),
        pytest.param(Source(url="a", headers={"X Y": "z"}), '$.sources.v1.headers["X Y"]', "name", id="header, space"),
        pytest.param(Source(url="a", headers={"X:": "z"}), '$.sources.v1.headers["X:"]', "name", id="header, colon"),
        pytest.param(Source(url="a", headers={"": "z"}), '$.sources.v1.headers[""]', "name", id="header, empty"),
        pytest.param(Source(url="a", headers={"É": "z"}), '$.sources.v1.headers["É"]', "name", id="header, É"),
    ],
)
def test_source_mistakes_when_one(source: Source, where: str, hint: str) -> None:
    """Each rule has its own words at its own path."""
    ((at, what),) = found(source_mistakes("v1", source))
    assert where == at
    assert hint in what


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(Source(url="a"), id="path"),
        pytest.param(Source(url="a [1] #?.mp4"), id="path with odd characters"),
        pytest.param(Source(url="HTTPS://cdn.example:8443/v1?x=[1]"), id="url"),
        pytest.param(Source(url="file:///v1.mp4"), id="file address"),
        pytest.param(Source(twelvelabs=TWELVELABS), id="twelvelabs"),
        pytest.param(Source(local=("a",)), id="local only"),
        pytest.param(Source(url="a", local=("b",)), id="url and local"),
        pytest.param(Source(twelvelabs=TWELVELABS, local=("b",)), id="twelvelabs and local"),
        pytest.param(Source(url="a", headers={"X-Token_1": "Bearer ${TOKEN}", "Accept": ""}), id="headers"),
    ],
)
def test_source_mistakes_when_none(source: Source) -> None:
    """One place of media is enough, and local copies go with any."""
    assert [] == list(source_mistakes("v1", source))


@pytest.mark.parametrize(
    ("ids", "mistaken"),
    [
        pytest.param(["a", "b", None], [], id="none twice"),
        pytest.param([None, None], [], id="all automatic"),
        pytest.param(["a", "b", "a"], [(2, 0)], id="twice"),
        pytest.param(["a", "a", "a"], [(1, 0), (2, 0)], id="three times"),
        pytest.param([None, "clip-0001"], [(1, 0)], id="automatic one written later"),
        pytest.param(["clip-0002", None], [(1, 0)], id="automatic one written before"),
        pytest.param(["clip-0001", None], [], id="its own automatic one written"),
        pytest.param(["a", "A"], [], id="other case"),
    ],
)
def test_id_mistakes_when(ids: list[str | None], mistaken: list[tuple[int, int]]) -> None:
    """An id that stood before is a mistake at the later clip, which names the earlier one."""
    mistakes = list(id_mistakes([clip(id=name) for name in ids]))
    assert [f"$.clips[{later}].id" for later, _ in mistaken] == [mistake.where for mistake in mistakes]
    for mistake, (_, earlier) in zip(mistakes, mistaken, strict=True):
        assert f"$.clips[{earlier}]" in mistake.what


@pytest.mark.parametrize(
    ("index", "name"),
    [
        pytest.param(0, "clip-0001", id="first"),
        pytest.param(9999, "clip-10000", id="five digits"),
    ],
)
def test_automatic_id_when(index: int, name: str) -> None:
    """Clips are counted from 1, with at least four digits."""
    assert name == automatic_id(index)


def test_named_clips_when_some_have_ids() -> None:
    """Only ids that were left out are filled in, by the clip's place."""
    assert ["clip-0001", "b", "clip-0003"] == [one.id for one in named_clips([clip(), clip(id="b"), clip()])]


def test_clips_per_video_when_shared() -> None:
    """Each video's clips are counted."""
    clips = (clip(), clip(video_id="v2"), clip())
    assert {"v1": 2, "v2": 1} == clips_per_video(Timeline(output=Output(), sources={}, clips=clips))


def test_mistake_when_printed() -> None:
    """A mistake is its path, then its words."""
    assert "$.clips[3].start: is missing" == str(Mistake("$.clips[3].start", "is missing"))
