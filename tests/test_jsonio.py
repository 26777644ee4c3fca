"""Proofs of reading timelines: exact numbers, every mistake at once with its JSON path, and a schema that agrees."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from strategies import BAD_VALUES, Broken, broken_timelines, decimals, every_broken_value, json_values, timelines

from clipcut.errors import TimelineError
from clipcut.jsonio import load_timeline
from clipcut.schema import timeline_schema
from clipcut.timeline import Timeline

FIXTURES = Path(__file__).parent.parent / "fixtures"
VALIDATOR = Draft202012Validator(timeline_schema())
CLIP = {"video_id": "v1", "start": 0, "end": 1}
TAKEN = CLIP | {"id": "clip-0001"}
"""A clip that is written with the automatic id of the first."""


FULL = {
    "version": 1,
    "output": {
        "path": "mix.mp4",
        "width": 640,
        "height": 360,
        "fps": "30000/1001",
        "fit": "cover",
        "video": {"codec": "h264", "crf": 18.5, "preset": "fast"},
        "audio": {"codec": "aac", "bitrate": "96k", "sample_rate": 44100, "channels": 1},
    },
    "sources": {
        "v1": {
            "url": "https://cdn.example/v1.m3u8",
            "local": "v1.mp4",
            "headers": {"Authorization": "${TOKEN}"},
        },
        "v3": {"twelvelabs": {"index_id": "i", "video_id": "v"}, "local": ["a.mp4", "b.mp4"]},
    },
    "clips": [
        {"id": "line-001", "video_id": "v1", "start": 12.5, "end": 15.0},
        {
            "id": "line-002",
            "video_id": "v3",
            "start": "00:01:02.250",
            "duration": 2.4,
            "mute": True,
            "gain_db": -6,
            "label": "two",
        },
    ],
}


def document(**fields: object) -> dict[str, Any]:
    """A good timeline with one source and one clip, some top-level fields replaced."""
    return {"version": 1, "sources": {"v1": {"url": "v1.mp4"}}, "clips": [CLIP]} | fields


def with_clip(**fields: object) -> dict[str, Any]:
    """A good timeline, some fields of its clip replaced."""
    return document(clips=[CLIP | fields])


def with_source(**fields: object) -> dict[str, Any]:
    """A good timeline, some fields of its source replaced."""
    return document(sources={"v1": {"url": "v1.mp4"} | fields})


def with_output(**fields: object) -> dict[str, Any]:
    """A good timeline that says something about its output."""
    return document(output=fields)


def as_written(text: str) -> bytes:
    """A timeline whose clip starts at a number as it is written here, and lasts a second."""
    data = json.dumps(document(clips=[{"video_id": "v1", "start": "HERE", "duration": 1}]))
    return data.replace('"HERE"', text).encode()


def encoded(data: object) -> bytes:
    """Bytes as they are, anything else as JSON."""
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def mistakes(data: object) -> list[tuple[str, str]]:
    """The mistakes of a timeline, each with its path and its words."""
    with pytest.raises(TimelineError) as caught:
        load_timeline(encoded(data), "mix.json")
    return [(mistake.where, mistake.what) for mistake in caught.value.mistakes]


def places(data: object) -> list[str]:
    """The paths of a timeline's mistakes."""
    return [where for where, _ in mistakes(data)]


# Good documents


def test_load_timeline_when_small() -> None:
    """What is left out takes the values of the contract."""
    timeline = load_timeline(encoded(document()))
    output = timeline.output
    assert (None, 1280, 720, Fraction(30), "contain") == (
        output.path,
        output.width,
        output.height,
        output.fps,
        output.fit,
    )
    assert ("h264", Fraction(23), "veryfast") == (output.video.codec, output.video.crf, output.video.preset)
    assert ("aac", "192k", 48000, 2) == (
        output.audio.codec,
        output.audio.bitrate,
        output.audio.sample_rate,
        output.audio.channels,
    )
    clip = timeline.clips[0]
    assert ("clip-0001", "v1", False, Fraction(0), None) == (
        clip.id,
        clip.video_id,
        clip.mute,
        clip.gain_db,
        clip.label,
    )


def test_load_timeline_when_every_field_is_written() -> None:
    """Each field is read into its place."""
    timeline = load_timeline(encoded(FULL))
    assert Fraction(30000, 1001) == timeline.output.fps
    assert ("mix.mp4", 640, 360, "cover") == (
        timeline.output.path,
        timeline.output.width,
        timeline.output.height,
        timeline.output.fit,
    )
    assert (Fraction("18.5"), "fast") == (timeline.output.video.crf, timeline.output.video.preset)
    assert ("96k", 44100, 1) == (
        timeline.output.audio.bitrate,
        timeline.output.audio.sample_rate,
        timeline.output.audio.channels,
    )
    assert {"Authorization": "${TOKEN}"} == timeline.sources["v1"].headers
    assert ("v1.mp4",) == timeline.sources["v1"].local
    assert ("a.mp4", "b.mp4") == timeline.sources["v3"].local
    first, second = timeline.clips
    assert (Fraction("12.5"), Fraction(15), None, Fraction("2.5")) == (
        first.start,
        first.end,
        first.duration,
        first.length,
    )
    assert (Fraction("62.25"), None, Fraction("2.4"), Fraction("2.4")) == (
        second.start,
        second.end,
        second.duration,
        second.length,
    )
    assert ("line-002", True, Fraction(-6), "two") == (second.id, second.mute, second.gain_db, second.label)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xef\xbb\xbf" + encoded(document()), id="byte order mark"),
        pytest.param(b"\n " + encoded(document()) + b"\r\n", id="blanks around"),
        pytest.param(document(version=1.0), id="version 1.0"),
        pytest.param(with_clip(id=None, duration=None, label=None), id="clip, null for what is optional"),
        pytest.param(with_clip(end=None, duration=1), id="clip, end null beside duration"),
        pytest.param(with_source(twelvelabs=None, local=None, headers=None), id="source, null for what is optional"),
        pytest.param(with_output(path=None), id="output, path null"),
        pytest.param(with_output(), id="output, empty"),
        pytest.param(with_clip(label="é 😀"), id="text beyond ASCII"),
        pytest.param(with_source(local="no/such/file.mp4"), id="media that is missing"),
    ],
)
def test_load_timeline_when_unusual(data: object) -> None:
    """These are no mistakes."""
    assert 1 == len(load_timeline(encoded(data)).clips)


@given(decimals())
def test_load_timeline_when_any_decimal(decimal: tuple[str, Fraction]) -> None:
    """A time is exactly the decimal that is written, never the float near it."""
    text, value = decimal
    assert value == load_timeline(as_written(text)).clips[0].start


def test_load_timeline_when_floats_would_drift() -> None:
    """Ten tenths written as decimals are one."""
    clips = [{"video_id": "v1", "start": 0, "duration": 0.1}] * 10
    timeline = load_timeline(encoded(document(clips=clips)))
    assert Fraction(1) == sum(clip.length for clip in timeline.clips)


# Mistakes, one at a time


@pytest.mark.parametrize(
    ("data", "where", "hint"),
    [
        pytest.param(with_clip(start="5"), "$.clips[0].start", "00:01:02.250", id="start is a number in quotes"),
        pytest.param(with_clip(start=True), "$.clips[0].start", "true is not a number", id="start is true"),
        pytest.param(with_clip(start=None), "$.clips[0].start", "null is not a number", id="start is null"),
        pytest.param(with_clip(start=[]), "$.clips[0].start", "[] is not a number", id="start is a list"),
        pytest.param(with_clip(start=-1), "$.clips[0].start", "0 to 1000000", id="start is negative"),
        pytest.param(with_clip(end=1_000_001), "$.clips[0].end", "0 to 1000000", id="end is too late"),
        pytest.param(with_clip(start="1:75:00"), "$.clips[0].start", "00:01:02.250", id="75 minutes after an hour"),
        pytest.param(with_clip(start="00:00:5"), "$.clips[0].start", "00:01:02.250", id="second of one digit"),
        pytest.param(with_clip(mute=1), "$.clips[0].mute", "true nor false", id="mute is 1"),
        pytest.param(with_clip(mute="true"), "$.clips[0].mute", "true nor false", id="mute is a text"),
        pytest.param(with_clip(gain_db="-6"), "$.clips[0].gain_db", "without the quotes", id="gain in quotes"),
        pytest.param(with_clip(label=5), "$.clips[0].label", "in quotes", id="label is a number"),
        pytest.param(with_clip(id="a b"), "$.clips[0].id", "letter or digit", id="id with a space"),
        pytest.param(with_clip(startt=5), "$.clips[0].startt", 'did you mean "start"', id="clip, unknown key"),
        pytest.param(with_clip(zzzzzz=5), "$.clips[0].zzzzzz", "unknown key", id="clip, key unlike any other"),
        pytest.param(document(clip=[]), "$.clip", 'did you mean "clips"', id="top level, unknown key"),
        pytest.param(with_output(hieght=2), "$.output.hieght", 'did you mean "height"', id="output, unknown key"),
        pytest.param(
            with_output(video={"presett": 1}), "$.output.video.presett", 'mean "preset"', id="video, unknown key"
        ),
        pytest.param(
            with_output(audio={"chanels": 2}), "$.output.audio.chanels", 'mean "channels"', id="audio, unknown key"
        ),
        pytest.param(with_source(locall="a"), "$.sources.v1.locall", 'did you mean "local"', id="source, unknown key"),
        pytest.param(
            document(sources={"v1": {"twelvelabs": {"index_id": "i", "video_id": "v", "vidoe_id": "v"}}}),
            "$.sources.v1.twelvelabs.vidoe_id",
            'did you mean "video_id"',
            id="twelvelabs, unknown key",
        ),
        pytest.param(with_source(url=5), "$.sources.v1.url", "in quotes", id="url is a number"),
        pytest.param(with_source(url=""), "$.sources.v1.url", "empty", id="url is empty"),
        pytest.param(with_source(local=[]), "$.sources.v1.local", "empty list", id="local is an empty list"),
        pytest.param(with_source(headers={"A": 5}), "$.sources.v1.headers.A", "in quotes", id="header is a number"),
        pytest.param(with_source(headers=[]), "$.sources.v1.headers", "not an object", id="headers is a list"),
        pytest.param(document(sources={"v1": "v1.mp4"}), "$.sources.v1", "not an object", id="source is a text"),
        pytest.param(with_output(width=1281), "$.output.width", "even", id="odd width"),
        pytest.param(with_output(height="720"), "$.output.height", "without the quotes", id="height in quotes"),
        pytest.param(with_output(fps=29.97), "$.output.fps", "30000/1001", id="fps is a decimal"),
        pytest.param(with_output(fit="fill"), "$.output.fit", '"stretch"', id="fit is unknown"),
        pytest.param(with_output(video=5), "$.output.video", "not an object", id="video is a number"),
        pytest.param(with_output(video={"crf": 52}), "$.output.video.crf", "0 to 51", id="crf is too large"),
        pytest.param(with_output(audio={"channels": 3}), "$.output.audio.channels", "1, 2, 6", id="3 channels"),
        pytest.param(with_output(audio={"bitrate": 192}), "$.output.audio.bitrate", "192k", id="bitrate is a number"),
        pytest.param(document(output=[]), "$.output", "not an object", id="output is a list"),
        pytest.param(document(clips=[]), "$.clips", "at least one", id="no clips"),
        pytest.param(document(clips={}), "$.clips", "list of clips", id="clips is an object"),
        pytest.param(document(clips=[CLIP, 5]), "$.clips[1]", "not an object", id="clip is a number"),
        pytest.param(document(version=2), "$.version", "write 1", id="version 2"),
        pytest.param(document(version="1"), "$.version", "write 1", id="version in quotes"),
        pytest.param(document(version=True), "$.version", "write 1", id="version true"),
        pytest.param(document(version=None), "$.version", "write 1", id="version null"),
        pytest.param([], "$", "not an object", id="top level is a list"),
        pytest.param(None, "$", "not an object", id="top level is null"),
        pytest.param("x", "$", "not an object", id="top level is a text"),
        pytest.param(1.5, "$", "1.5 is not an object", id="top level is a number"),
        pytest.param(b"", "$", "not JSON", id="nothing at all"),
        pytest.param(b'{\n "version": 1,\n}', "$", "of object, line 2, column 14", id="comma before the end"),
        pytest.param(b'{"clips": [{}, \t]}', "$", "of array, line 1, column 14", id="comma before a list's end"),
        pytest.param(b'{"version":, 1}', "$", "Expecting value, line 1, column 12", id="comma instead of a value"),
        pytest.param(b"{} {}", "$", "not JSON", id="two documents"),
        pytest.param(b"{'version': 1}", "$", "not JSON", id="single quotes"),
        pytest.param(b'{"version": 1\xff', "$", "not UTF-8 text: byte 13", id="not UTF-8"),
        pytest.param('{"version": 1}'.encode("utf-16"), "$", "not UTF-8", id="UTF-16"),
    ],
)
def test_load_timeline_when_one_mistake(data: object, where: str, hint: str) -> None:
    """A mistake is reported once, at its path, with what to write."""
    ((found, what),) = mistakes(data)
    assert where == found
    assert hint in what


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("NaN", id="NaN"),
        pytest.param("Infinity", id="Infinity"),
        pytest.param("-Infinity", id="-Infinity"),
        pytest.param("1e9999999", id="absurd exponent"),
        pytest.param("1e-9999999", id="absurdly small"),
        pytest.param("1e" + "9" * 5000, id="exponent of 5000 digits"),
        pytest.param("1" * 5000, id="5000 digits"),
        pytest.param("-" + "1" * 5000, id="5000 digits, negative"),
        pytest.param("0." + "1" * 5000, id="5000 places"),
        pytest.param("1" * 19, id="19 digits"),
    ],
)
def test_load_timeline_when_number_is_absurd(text: str) -> None:
    """A number beyond any sense is a mistake at its place, at once."""
    ((where, what),) = mistakes(as_written(text))
    assert "$.clips[0].start" == where
    assert text[:20] in what
    assert 200 > len(what)


@pytest.mark.parametrize("key", ["version", "sources", "clips"])
def test_load_timeline_when_top_level_field_is_missing(key: str) -> None:
    """Every required field of the top level is asked for by name."""
    data = document()
    del data[key]
    assert (f"$.{key}", "is missing") in mistakes(data)


@pytest.mark.parametrize("key", ["video_id", "start"])
def test_load_timeline_when_clip_field_is_missing(key: str) -> None:
    """Every required field of a clip is asked for by name, and nothing else is said."""
    clip = {name: value for name, value in CLIP.items() if name != key}
    assert [(f"$.clips[0].{key}", "is missing")] == mistakes(document(clips=[clip]))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        pytest.param('"version": 1, "version": 1', ["$.version"], id="top level"),
        pytest.param('"version": 1, "output": {"fps": 30, "fps": 25}', ["$.output.fps"], id="output"),
    ],
)
def test_load_timeline_when_key_stands_twice(text: str, where: list[str]) -> None:
    """A key that stands twice in one object is a mistake, even with the same value."""
    data = f'{{{text}, "sources": {{"v1": {{"url": "a"}}}}, "clips": [{json.dumps(CLIP)}]}}'
    assert where == places(data.encode())


def test_load_timeline_when_keys_stand_twice_below() -> None:
    """Repeated keys are found in sources, headers and clips, each at its path."""
    data = b"""{"version": 1,
        "sources": {"v1": {"url": "a"}, "v1": {"url": "b", "headers": {"A": "x", "A": "y"}}},
        "clips": [{"video_id": "v1", "start": 0, "end": 1}, {"video_id": "v1", "start": 0, "start": 0, "end": 1}]}"""
    assert ["$.sources.v1", "$.sources.v1.headers.A", "$.clips[1].start"] == places(data)


def test_load_timeline_when_a_key_stands_three_times() -> None:
    """It is still one mistake."""
    data = encoded(document()).replace(b'"version": 1', b'"version": 1, "version": 1, "version": 1')
    assert ["$.version"] == places(data)


@pytest.mark.parametrize(
    "depths",
    [
        pytest.param(range(920, 1000), id="around the interpreter's limit"),
        pytest.param([3000], id="beyond Python's own limit"),
        pytest.param([100_000], id="beyond any limit"),
    ],
)
def test_load_timeline_when_nested_deeply(depths: Iterable[int]) -> None:
    """Deep nesting is a mistake wherever it stands and however deep it is, never a crash."""
    good = encoded(document())
    for depth in depths:
        deep_list, deep_object = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
        for data in (
            deep_list,
            deep_object,
            good.replace(b'"version": 1', b'"version": ' + deep_list),
            good.replace(b'"start": 0', b'"start": ' + deep_list),
            good.replace(b'{"url": "v1.mp4"}', deep_list),
            good.replace(b'{"url": "v1.mp4"}', deep_object),
        ):
            assert not any("recursion" in what for _, what in mistakes(data))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("clips[" + "1" * 5000 + "]", id="an index of 5000 digits"),
        pytest.param("clips[\u0661]", id="an index in another script"),
        pytest.param("", id="empty"),
        pytest.param("$", id="dollar"),
        pytest.param("__class__", id="underscores"),
    ],
)
def test_load_timeline_when_key_is_odd(key: str) -> None:
    """A key may be any text; one that nobody knows is a mistake like any other."""
    assert any("unknown key" in what for _, what in mistakes(document() | {key: 1}))
    assert any("unknown key" in what for _, what in mistakes(with_clip() | {"clips": [CLIP | {key: 1}]}))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("\ud800", id="half a character"),
        pytest.param("\x1b[2J", id="terminal sequence"),
        pytest.param("a\nb", id="newline"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda key: document() | {key: 1}, id="top level"),
        pytest.param(lambda key: document(clips=[CLIP | {key: 1}]), id="clip"),
        pytest.param(lambda key: document(sources={"v1": {"url": "a"}, key: {"url": "a"}}), id="source"),
        pytest.param(lambda key: with_source(headers={key: "x"}), id="header"),
    ],
)
def test_load_timeline_when_key_can_not_be_printed(make: Callable[[str], object], key: str) -> None:
    """A message can be printed anywhere: a line for each mistake, whatever the document's keys are."""
    for where, what in mistakes(make(key)):
        assert f"{where}: {what}".encode().decode().isprintable()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Bearer s3cret\n", id="newline last"),
        pytest.param("s3cret \ud800", id="half a character"),
        pytest.param("s3cret é", id="beyond ASCII"),
        pytest.param(["s3cret"], id="in a list"),
    ],
)
def test_load_timeline_when_header_is_bad(value: object) -> None:
    """A header's value may be a secret, so no message repeats it."""
    ((where, what),) = mistakes(with_source(headers={"Authorization": value}))
    assert "$.sources.v1.headers.Authorization" == where
    assert "s3cret" not in what


# Several mistakes


def test_load_timeline_when_many_mistakes() -> None:
    """All mistakes come at once, in document order."""
    data = {
        "version": 2,
        "output": {"width": 1281, "fps": 29.97, "video": {"crf": "x"}, "fits": "cover"},
        "sources": {"v1": {"url": 5}, "v2": {}, "v3": {"url": "a", "twelvelabs": {"index_id": "i"}}},
        "clips": [
            {"video_id": "v1", "start": 5, "end": 4},
            {"video_id": "v9", "start": "5", "duration": 1, "endd": 6},
            {"video_id": "v2", "start": 0},
        ],
    }
    assert [
        "$.version",
        "$.output.width",
        "$.output.fps",
        "$.output.video.crf",
        "$.output.fits",
        "$.sources.v1.url",
        "$.sources.v2",
        "$.sources.v3.twelvelabs.video_id",
        "$.clips[0].end",
        "$.clips[1].start",
        "$.clips[1].endd",
        "$.clips[1].video_id",
        "$.clips[2]",
    ] == places(data)


def test_load_timeline_when_more_than_ten_clips_are_bad() -> None:
    """The order is that of the numbers: clip 10 comes after clip 9, not after clip 1."""
    data = document(clips=[CLIP | {"mute": 1} if index % 2 else CLIP | {"end": 0} for index in range(25)])
    assert [f"$.clips[{index}].{'mute' if index % 2 else 'end'}" for index in range(25)] == places(data)


def test_load_timeline_when_one_clip_has_several_mistakes() -> None:
    """A bad field of a clip hides neither its other fields' mistakes nor those between them."""
    data = document(clips=[{"video_id": "v8", "start": 5, "end": 4, "mute": 1, "id": "a b"}])
    assert {"$.clips[0].id", "$.clips[0].mute", "$.clips[0].video_id", "$.clips[0].end"} == set(places(data))


@pytest.mark.parametrize(
    ("data", "where"),
    [
        pytest.param(with_clip(start=1_000_000, end="x"), "$.clips[0].end", id="bad end, latest start"),
        pytest.param(document(clips=[{"video_id": "v1", "end": 0}]), "$.clips[0].start", id="no start, end 0"),
        pytest.param(document(clips=[CLIP | {"id": 5}, TAKEN]), "$.clips[0].id", id="bad id, then the automatic one"),
        pytest.param(document(clips=[5, TAKEN]), "$.clips[0]", id="no clip, then its automatic id"),
        pytest.param(document(sources=5), "$.sources", id="bad sources, then a clip"),
        pytest.param(with_source(url=5), "$.sources.v1.url", id="bad source, then its clip"),
        pytest.param(document(output={"fps": "x"}, clips=[CLIP | {"end": 0.001}]), "$.output.fps", id="bad rate"),
    ],
)
def test_load_timeline_when_nothing_follows(data: object, where: str) -> None:
    """What could not be read is not blamed for anything else."""
    assert [where] == places(data)


@pytest.mark.parametrize(
    ("clip", "where"),
    [
        pytest.param({"start": "x", "end": 5, "duration": 3}, ["start", ""], id="bad start, both ends"),
        pytest.param({"start": "x"}, ["start", ""], id="bad start, no end"),
        pytest.param({"start": 5, "end": "x", "duration": 3}, ["end", ""], id="bad end, both ends"),
        pytest.param({"start": 5, "end": 4, "x y": 1}, ["x y", "end"], id="odd key, end before start"),
        pytest.param({"start": 5, "end": 4, "y" * 200: 1, "y" * 201: 1}, ["y", "y", "end"], id="two long keys"),
    ],
)
def test_load_timeline_when_clip_is_bad_and_its_fields_disagree(clip: dict[str, Any], where: list[str]) -> None:
    """What is wrong between fields is reported beside what is wrong in them."""
    found = places(document(clips=[{"video_id": "v1"} | clip]))
    assert len(where) == len(found)
    assert all(path.startswith("$.clips[0]") and part in path for part, path in zip(where, found, strict=True))


def test_timeline_error_when_printed() -> None:
    """The message names the document, then gives a line to each mistake."""
    with pytest.raises(TimelineError) as caught:
        load_timeline(encoded(with_clip(mute=1, gain_db="x")), "mix.json")
    title, *lines = str(caught.value).splitlines()
    assert "mix.json" in title
    assert [f"  {mistake}" for mistake in caught.value.mistakes] == lines
    assert 2 == len(lines) == caught.value.exit_code


# The schema


def accepted(data: bytes) -> bool:
    """Whether load_timeline takes it."""
    try:
        load_timeline(data)
    except TimelineError:
        return False
    return True


def fixture_timelines() -> list[Any]:
    """The version 1 timelines among the fixtures, as parameters."""
    found = {path: json.loads(path.read_bytes()) for path in sorted(FIXTURES.glob("*.json"))}
    return [
        pytest.param(path, id=path.stem)
        for path, content in found.items()
        if isinstance(content, Mapping) and {"version", "sources", "clips"} <= content.keys()
    ]


def test_timeline_schema_when_checked() -> None:
    """It is a schema of draft 2020-12, and says so."""
    Draft202012Validator.check_schema(timeline_schema())
    assert "https://json-schema.org/draft/2020-12/schema" == timeline_schema()["$schema"]


@pytest.mark.parametrize("path", fixture_timelines())
def test_timeline_schema_when_fixture(path: Path) -> None:
    """Every fixture is good for load_timeline and for the schema, but those named bad, which load_timeline refuses."""
    good = not path.stem.startswith("bad")
    assert good == accepted(path.read_bytes())
    assert VALIDATOR.is_valid(json.loads(path.read_bytes())) or not good


@given(timelines())
def test_timeline_schema_when_good(data: dict[str, Any]) -> None:
    """A good timeline passes both, with all of its clips, named and in order."""
    timeline = load_timeline(encoded(data))
    assert [clip["video_id"] for clip in data["clips"]] == [clip.video_id for clip in timeline.clips]
    assert [clip.get("id") or f"clip-{index:04}" for index, clip in enumerate(data["clips"], 1)] == [
        clip.id for clip in timeline.clips
    ]
    VALIDATOR.validate(data)


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_timeline_schema_when_one_value_is_broken(kind: str) -> None:
    """Every value of a wrong type or out of range is refused by both, by load_timeline at its place."""
    found = [broken for of, broken in every_broken_value(FULL) if of == kind]
    assert found
    assert [] == [
        broken for broken in found if broken.where not in places(broken.document) or VALIDATOR.is_valid(broken.document)
    ]


@given(broken_timelines())
def test_timeline_schema_when_structure_is_broken(broken: Broken) -> None:
    """What is broken in the structure is refused by both, by load_timeline at its place."""
    assert broken.where in places(broken.document)
    assert not VALIDATOR.is_valid(broken.document)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(with_clip(start=1), id="end not after start"),
        pytest.param(with_clip(video_id="v2"), id="unknown video"),
        pytest.param(document(clips=[CLIP | {"id": "a"}, CLIP | {"id": "a"}]), id="id twice"),
        pytest.param(document(clips=[CLIP, CLIP | {"id": "clip-0001"}]), id="automatic id twice"),
        pytest.param(with_clip(end=0.033), id="shorter than a frame"),
    ],
)
def test_timeline_schema_when_meaning_is_broken(data: dict[str, Any]) -> None:
    """What no schema can say, load_timeline refuses alone."""
    VALIDATOR.validate(data)
    assert not accepted(encoded(data))


# Anything at all


def replaced(data: Any, place: int, value: object) -> Any:
    """A document with its node number ``place`` (counted from the top, round and round) replaced."""
    nodes: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            nodes.append((node, key))
            visit(child)

    visit(data)
    parent, key = nodes[place % len(nodes)]
    parent[key] = value
    return data


def load_anything(data: bytes) -> None:
    """A timeline or a TimelineError comes out, else the test fails with the exception."""
    try:
        timeline = load_timeline(data)
    except TimelineError:
        return
    assert isinstance(timeline, Timeline)
    assert timeline.clips
    assert VALIDATOR.is_valid(json.loads(data.decode("utf-8-sig")))


@given(st.binary() | st.text().map(str.encode))
def test_load_timeline_when_any_bytes(data: bytes) -> None:
    """Arbitrary bytes are a mistake, never a crash."""
    load_anything(data)


@given(json_values())
def test_load_timeline_when_any_json(value: object) -> None:
    """Arbitrary JSON is a mistake, never a crash."""
    load_anything(encoded(value))


@given(timelines(), st.integers(0, 1000), json_values())
def test_load_timeline_when_any_json_is_within(data: dict[str, Any], place: int, value: object) -> None:
    """A good timeline with anything at any place is a timeline or a mistake, and what is taken the schema takes."""
    load_anything(encoded(replaced(data, place, value)))


@given(timelines(), st.integers(0, 2000), st.integers(0, 20), st.binary(max_size=6))
def test_load_timeline_when_any_bytes_are_within(data: dict[str, Any], start: int, count: int, piece: bytes) -> None:
    """A good timeline with some bytes replaced is a timeline or a mistake."""
    whole = encoded(data)
    load_anything(whole[:start] + piece + whole[start + count :])


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that something like them was looked for."""
    words: list[str] = []
    look = difflib.get_close_matches

    def watched(word: str, names: Iterable[str], n: int) -> list[str]:
        words.append(word)
        return look(word, list(names), n)

    monkeypatch.setattr(difflib, "get_close_matches", watched)
    return words


def hints(data: Mapping[str, Any]) -> list[bool]:
    """Return of each mistake of a timeline whether it says what was meant."""
    with pytest.raises(TimelineError) as caught:
        load_timeline(json.dumps(data).encode())
    return ["did you mean" in mistake.what for mistake in caught.value.mistakes]


def test_each_wrong_word_is_looked_for_once(looked_for: list[str]) -> None:
    """However many clips have it; each of them says what was meant."""
    clips = [CLIP | {"video_id": f"lake{index % 2}x", "strat": 1} for index in range(500)]
    data = {"version": 1, "sources": {f"lake{index}": {"url": "v.mp4"} for index in range(200)}, "clips": clips}

    assert [True] * 1000 == hints(data)
    assert ["lake0x", "lake1x", "strat"] == sorted(looked_for)


def test_nothing_is_looked_for_among_very_many_names(looked_for: list[str]) -> None:
    """Clips times sources would take minutes."""
    clips = [CLIP | {"video_id": f"lake{index}x"} for index in range(500)]
    data = {"version": 1, "sources": {f"lake{index}": {"url": "v.mp4"} for index in range(201)}, "clips": clips}

    assert [False] * 500 == hints(data)
    assert [] == looked_for


@pytest.mark.parametrize("place", ["top", "output", "clip", "video_id"])
def test_only_so_many_wrong_words_are_looked_for(looked_for: list[str], place: str) -> None:
    """Nor one that is far too long for a name."""
    odd = {f"hieght{index}": 1 for index in range(300)} | {"x" * 10_000: 1}
    data: dict[str, Any] = {"version": 1, "sources": {"v1": {"url": "v.mp4"}}, "clips": [dict(CLIP)]}
    if place == "video_id":
        data["clips"] = [CLIP | {"video_id": name} for name in odd if len(name) < 64]
    else:
        where = {"top": data, "output": data.setdefault("output", {}), "clip": data["clips"][0]}[place]
        where |= odd

    hints(data)

    assert 200 == len(looked_for) == len(set(looked_for))
