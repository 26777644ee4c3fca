"""Proofs of reading Jockey lists: what becomes of them, every mistake at its path, and timelines written as JSON."""

import io
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import decimals, json_values, timelines

from clipcut.cli import run
from clipcut.errors import Mistake, TimelineError
from clipcut.inputs import load_document
from clipcut.jockey import source_names
from clipcut.jsonio import MAX_CLIPS, load_timeline
from clipcut.jsonout import document_text, timeline_document
from clipcut.timeline import Clip, Output, Source, Timeline, TwelveLabs, named_clips

ALPHA, BETA = "65f1c0ffee65f1c0ffee0001", "65f1c0ffee65f1c0ffee0002"
CLIP: dict[str, Any] = {"video_reference": ALPHA, "start_time": "00:01:22", "end_time": "00:01:45"}
LONGEST = "x" * 64


def recipe(clips: object, **fields: object) -> dict[str, Any]:
    """What the recipe writes."""
    return {
        "assembly_title": "Goals",
        "clips": clips,
        "total_estimated_duration": "1:52",
        "assembly_notes": "Loud\nfirst.",
    } | fields


def encoded(data: object) -> bytes:
    """Bytes as they are, anything else as JSON."""
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def read(data: object, index_id: str | None = "idx") -> Timeline:
    """The timeline of a document."""
    return load_document(encoded(data), "reel.json", index_id)


def mistakes(data: object, index_id: str | None = "idx") -> list[tuple[str, str]]:
    """The mistakes of a document, each with its path and its words."""
    with pytest.raises(TimelineError) as caught:
        read(data, index_id)
    return [(mistake.where, mistake.what) for mistake in caught.value.mistakes]


# Good lists


@pytest.mark.parametrize("shape", [pytest.param(recipe, id="object"), pytest.param(list, id="bare list")])
def test_load_document_when_it_is_a_jockey_list(shape: Any) -> None:
    """Each reference is a source, the clips stay in order, the output is left at its defaults."""
    clips = [
        CLIP | {"description": "A goal.", "relevance_reason": "It counts."},
        {"video_reference": BETA, "start_time": 5, "end_time": 7.25},
        CLIP | {"start_time": "02:05", "end_time": "00:02:06.500"},
    ]
    expected = Timeline(
        output=Output(),
        sources={name: Source(twelvelabs=TwelveLabs(index_id="idx", video_id=name)) for name in (ALPHA, BETA)},
        clips=named_clips(
            [
                Clip(video_id=ALPHA, start=Fraction(82), end=Fraction(105), label="A goal."),
                Clip(video_id=BETA, start=Fraction(5), end=Fraction("7.25")),
                Clip(video_id=ALPHA, start=Fraction(125), end=Fraction("126.5")),
            ]
        ),
    )
    assert expected == read(shape(clips))
    assert ["clip-0001", "clip-0002", "clip-0003"] == [clip.id for clip in expected.clips]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        pytest.param("01:01:45", "3705", id="HH:MM:SS"),
        pytest.param("1:01:45", "3705", id="H:MM:SS"),
        pytest.param("0:1:45", "105", id="H:M:SS"),
        pytest.param("00:1:45.5", "105.5", id="HH:M:SS with a fraction"),
        pytest.param("1:45", "105", id="M:SS"),
        pytest.param("01:45.250", "105.25", id="MM:SS with a fraction"),
        pytest.param("90:00", "5400", id="90 minutes"),
        pytest.param("45", "45", id="SS"),
        pytest.param(105, "105", id="number"),
        pytest.param(105.125, "105.125", id="decimal"),
    ],
)
def test_load_document_when_time_is_in_any_form(written: object, seconds: str) -> None:
    """A model may write a time as it likes, where it can mean one thing only."""
    assert Fraction(seconds) == read([CLIP | {"start_time": 0, "end_time": written}]).clips[0].end


@given(decimals())
def test_load_document_when_time_is_any_decimal(decimal: tuple[str, Fraction]) -> None:
    """A number is exactly the decimal that is written."""
    text, value = decimal
    assume(value < 999_999)  # the clip must have room for a frame
    data = json.dumps([CLIP | {"start_time": "HERE", "end_time": 1_000_000}]).replace('"HERE"', text)
    assert value == read(data.encode()).clips[0].start


@pytest.mark.parametrize(
    ("description", "label"),
    [
        pytest.param("one\r\ntwo\tthree", "one  two three", id="line break and tab"),
        pytest.param(" \x1b[2J\u2028é 😀\ud800 ", "[2J é 😀", id="what no terminal should get"),
        pytest.param(" \n", None, id="blank"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param(["a"], None, id="no text"),
        pytest.param("x" * 10_000, "x" * 10_000, id="long"),
    ],
)
def test_load_document_when_description_is_odd(description: object, label: str | None) -> None:
    """A label is one printable line, whatever the model says of a clip."""
    assert label == read([CLIP | {"description": description}]).clips[0].label


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(recipe([CLIP], sources=[], extra={"a": [1]}), id="sources beside"),
        pytest.param(recipe([CLIP | {"id": 5, "start": "x", "score": None}]), id="clip"),
        pytest.param(
            b'{"x": 1, "x": 2, "clips": [' + json.dumps(CLIP)[:-1].encode() + b', "y": 1, "y": 2}]}', id="twice"
        ),
        pytest.param({"clips": [CLIP]}, id="nothing but clips"),
    ],
)
def test_load_document_when_keys_are_unknown(data: object) -> None:
    """A model wrote them, so they are no mistakes."""
    assert 1 == len(read(data).clips)


# Names of sources


@pytest.mark.parametrize(
    ("references", "names"),
    [
        pytest.param([BETA, ALPHA, BETA], [BETA, ALPHA], id="valid"),
        pytest.param(["Goal (2024).mp4"], ["Goal-2024-.mp4"], id="other characters"),
        pytest.param(["_hidden", "-a-"], ["hidden", "a"], id="odd ends"),
        pytest.param(["影片", "…"], ["video", "video-2"], id="nothing left"),
        pytest.param(["a b", "a-b", "a/b", "a-b-2", "a?b"], ["a-b-3", "a-b", "a-b-4", "a-b-2", "a-b-5"], id="taken"),
        pytest.param([LONGEST + "y", LONGEST + "z"], [LONGEST, "x" * 62 + "-2"], id="long"),
        pytest.param(["tail\n"], ["tail"], id="line break last"),
    ],
)
def test_source_names_when_some_are_invalid(references: list[str], names: list[str]) -> None:
    """A valid reference is its own name, and others never take it."""
    assert names == list(source_names(references).values())


@given(st.lists(st.text(st.sampled_from("ab-. /é"), max_size=4) | st.text(st.sampled_from("a?"), min_size=62)))
def test_source_names_when_any_text(references: list[str]) -> None:
    """Different references have different names, and each name is one that a timeline takes."""
    names = source_names(references)
    assert len(set(references)) == len(set(names.values()))
    source = {"url": "a"}
    clips = [{"video_id": name, "start": 0, "end": 1} for name in names.values()]
    if clips:
        load_timeline(encoded({"version": 1, "sources": dict.fromkeys(names.values(), source), "clips": clips}))


# Mistakes


@pytest.mark.parametrize("shape", [pytest.param(recipe, id="object"), pytest.param(list, id="bare list")])
@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        pytest.param({"start_time": "soon"}, ".start_time", '"soon" is not a time; write seconds', id="no time"),
        pytest.param({"start_time": None}, ".start_time", "null is not a number", id="null"),
        pytest.param({"start_time": "00:60:00"}, ".start_time", "is not a time", id="60 minutes after an hour"),
        pytest.param({"start_time": "1:6:60"}, ".start_time", "is not a time", id="60 seconds"),
        pytest.param({"start_time": "1:6:5"}, ".start_time", "is not a time", id="second of one digit"),
        pytest.param({"start_time": "-1:05"}, ".start_time", "is not a time", id="negative"),
        pytest.param({"end_time": "999999:1:00"}, ".end_time", "out of range; write 0 to 1000000", id="too late"),
        pytest.param({"end_time": "00:01:22"}, ".end_time", "82 is not after the start, 82", id="end at start"),
        pytest.param({"end_time": 81.5}, ".end_time", "81.5 is not after the start, 82", id="end before start"),
        pytest.param({"end_time": 82.033}, "", "is 0.033 s long, less than one output frame", id="below a frame"),
        pytest.param({"video_reference": ""}, ".video_reference", "an empty text says nothing", id="empty reference"),
        pytest.param({"video_reference": 5}, ".video_reference", "5 is not a text", id="reference is a number"),
        pytest.param({"video_reference": "a\nb"}, ".video_reference", "control character", id="control character"),
    ],
)
def test_load_document_when_one_mistake(shape: Any, change: dict[str, object], where: str, what: str) -> None:
    """It is reported once, at its path in the list as it is written, with what is wrong."""
    ((found, words),) = mistakes(shape([CLIP, CLIP, CLIP, CLIP | change]))
    assert f"{'$.clips' if shape is recipe else '$'}[3]{where}" == found
    assert what in words


@pytest.mark.parametrize("key", CLIP)
def test_load_document_when_a_field_is_missing(key: str) -> None:
    """Each field that a clip needs is asked for by name, and nothing else is said."""
    clip = {name: value for name, value in CLIP.items() if name != key}
    assert [(f"$.clips[1].{key}", "is missing")] == mistakes(recipe([CLIP, clip]))


@pytest.mark.parametrize(
    ("data", "where", "what"),
    [
        pytest.param([], "$", "[] is not a list of clips; write [{...}, ...], at least one", id="empty list"),
        pytest.param(recipe([]), "$.clips", "at least one", id="no clips"),
        pytest.param(recipe({}), "$.clips", "{} is not a list of clips", id="clips is an object"),
        pytest.param({"assembly_title": "Goals"}, "$.clips", "is missing", id="no list"),
        pytest.param([CLIP, 5], "$[1]", "5 is not an object; write {...}", id="clip is a number"),
        pytest.param([CLIP] * (MAX_CLIPS + 1), "$", "100001 clips are more than 100000", id="too many, bare"),
        pytest.param(recipe([CLIP] * (MAX_CLIPS + 1)), "$.clips", "clips are more than", id="too many"),
        pytest.param(
            b'[{"video_reference": "a", "end_time": 2, "start_time": 0, "start_time": 1}]',
            "$[0].start_time",
            "stands twice in one object; keep one",
            id="key twice",
        ),
        pytest.param(
            b'{"clips": [], "clips": [{"video_reference": "a", "start_time": 0, "end_time": 2}]}',
            "$.clips",
            "stands twice in one object; keep one",
            id="clips twice",
        ),
        pytest.param(b"[", "$", "is not JSON", id="not JSON"),
    ],
)
def test_load_document_when_the_whole_is_wrong(data: object, where: str, what: str) -> None:
    """With ``--index-id``, what looks like no timeline is judged as a Jockey list."""
    ((found, words),) = mistakes(data)
    assert where == found
    assert what in words


def test_load_document_when_many_mistakes() -> None:
    """All come at once, in the order of the list; a bad field doesn't hide what is wrong with the others."""
    clips = [
        {"start_time": "x", "description": 5},
        "clip",
        {"video_reference": [], "start_time": 5, "end_time": 4},
        CLIP,
        *[CLIP | {"end_time": 0}] * 8,
    ]
    assert [
        "$.clips[0].video_reference",
        "$.clips[0].start_time",
        "$.clips[0].end_time",
        "$.clips[1]",
        "$.clips[2].video_reference",
        "$.clips[2].end_time",
        *[f"$.clips[{index}].end_time" for index in range(4, 12)],
    ] == [where for where, _ in mistakes(recipe(clips))]


# The index


@pytest.mark.parametrize("index_id", [pytest.param(None, id="not given"), pytest.param("", id="empty")])
@pytest.mark.parametrize("data", [pytest.param([CLIP], id="bare list"), pytest.param(recipe([CLIP]), id="object")])
def test_load_document_when_the_index_is_missing(data: object, index_id: str | None) -> None:
    """One mistake says what to give."""
    ((where, what),) = mistakes(data, index_id)
    assert "$" == where
    assert "--index-id ID" in what


def test_load_document_when_the_index_and_more_is_missing() -> None:
    """The list's own mistakes are told all the same."""
    assert ["$", "$[0].end_time"] == [where for where, _ in mistakes([CLIP | {"end_time": None}], None)]


def test_load_document_when_the_index_can_not_be_one() -> None:
    """A line break from a file is named as the flag's mistake."""
    ((where, what),) = mistakes([CLIP], "idx\n")
    assert "--index-id" == where
    assert "control character" in what


def test_load_document_when_an_index_is_given_with_a_timeline() -> None:
    """The flag is a mistake, beside those of the timeline."""
    clip = {"video_id": "v", "start": 0, "end": 1}
    good = {"version": 1, "sources": {"v": {"url": "v.mp4"}}, "clips": [clip]}
    ((where, what),) = mistakes(good)
    assert "--index-id" == where
    assert "only for Jockey lists" in what
    assert ["--index-id", "$.clips[0].end"] == [where for where, _ in mistakes(good | {"clips": [clip | {"end": 0}]})]
    assert ["--index-id", "$.version"] == [where for where, _ in mistakes({"sources": {}, "clips": [clip]})][:2]


def test_load_document_when_a_version_is_written() -> None:
    """A document that says that it is a timeline is read as one."""
    assert "$.clips[0].video_reference" in [where for where, _ in mistakes(recipe([CLIP], version=1), None)]


def test_load_document_when_it_is_neither() -> None:
    """A list without references, or no list at all, is what it always was."""
    assert ["$"] == [where for where, _ in mistakes([{"start_time": 1}], None)]
    assert [("$", "5 is not an object; a timeline begins with {")] == mistakes(5, None)
    assert ["--index-id", "$"] == [where for where, _ in mistakes(5)]


@given(json_values(), st.sampled_from(["whole", "clips", *CLIP]), st.sampled_from(["idx", None]))
def test_load_document_when_any_json_is_within(value: Any, place: str, index_id: str | None) -> None:
    """A good list with anything at any place is a timeline that can be written and read again, or has mistakes."""
    data = {"whole": value, "clips": recipe(value)}.get(place, recipe([CLIP, CLIP | {place: value}]))
    timeline, found = attempt(data, index_id)
    assert found or timeline is not None
    assert all(str(mistake).isprintable() for mistake in found)
    if timeline is not None:
        assert timeline == load_timeline(document_text(timeline_document(timeline)).encode())


def attempt(data: object, index_id: str | None) -> tuple[Timeline | None, Sequence[Mistake]]:
    """The timeline of a document, or its mistakes."""
    try:
        return read(data, index_id), ()
    except TimelineError as exc:
        return None, exc.mistakes


# Timelines as JSON


def without_headers(data: dict[str, Any]) -> dict[str, Any]:
    """The same timeline, no source of which has headers."""
    sources = {
        name: {key: value for key, value in source.items() if key != "headers"}
        for name, source in data["sources"].items()
    }
    return data | {"sources": sources}


SOUNDTRACKS = st.none() | st.fixed_dictionaries(
    {"path": st.just("song.m4a")},
    optional={
        "mode": st.sampled_from(["replace", "mix"]),
        "offset": st.integers(-50, 50) | st.sampled_from([-0.5, 0.125]),
        "gain_db": st.sampled_from([0, -6, 0.1]),
    },
)


@given(timelines().map(without_headers), SOUNDTRACKS)
def test_timeline_document_when_read_again(data: dict[str, Any], soundtrack: object) -> None:
    """It is the same timeline."""
    timeline = load_timeline(encoded(data | {"soundtrack": soundtrack}))
    assert timeline == load_timeline(document_text(timeline_document(timeline)).encode())


@given(
    st.integers(0, 10**6 - 1),
    st.text("0123456789", min_size=1, max_size=40),
    st.integers(0, 40),
)
@example(0, "0" * 39 + "1", 40)
@example(999_999, "9" * 40, 7)
@example(123_456, "1" * 40, 1)
def test_timeline_document_when_numbers_are_long(whole: int, places: str, exponent: int) -> None:
    """No digit is lost, neither of what no float holds nor of what is tiny."""
    text = f"-{whole}.{places}e-{exponent}"
    data = encoded(
        {
            "version": 1,
            "sources": {"v": {"url": "v.mp4"}},
            "soundtrack": {"path": "a.wav", "offset": "HERE"},
            "clips": [{"video_id": "v", "start": "THERE", "duration": 1}],
        }
    )
    data = data.replace(b'"HERE"', text.encode()).replace(b'"THERE"', text[1:].encode())
    timeline = load_timeline(data)
    assert -Fraction(text) == timeline.clips[0].start
    assert timeline == load_timeline(document_text(timeline_document(timeline)).encode())


def test_timeline_document_when_nothing_is_beside_the_defaults() -> None:
    """What is left out stays out; numbers are those that were written."""
    data = {
        "version": 1,
        "output": {"fps": "30000/1001", "audio": {"fade_ms": 0}},
        "sources": {"v": {"local": ["v.mp4"]}},
        "clips": [{"video_id": "v", "start": 0.1, "end": 2}, {"id": "b", "video_id": "v", "start": 0, "duration": 1.5}],
    }
    assert data == timeline_document(load_timeline(encoded(data)))


def test_timeline_document_when_made_by_a_program() -> None:
    """A time that no document could bring is rounded."""
    clip = Clip(video_id="v", start=Fraction(1, 3), duration=Fraction(1))
    document = timeline_document(Timeline(output=Output(), sources={}, clips=(clip,)))
    assert 1 / 3 == document["clips"][0]["start"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("${TOKEN}", "${TOKEN}", id="reference"),
        pytest.param("${A}${B}", "${A}${B}", id="two references"),
        pytest.param("Bearer ${TOKEN}", "Bearer ${TOKEN}", id="scheme"),
        pytest.param("bearer  ${TOKEN}", "bearer  ${TOKEN}", id="scheme, small letters"),
        pytest.param("", "", id="empty"),
        pytest.param("canary", "…", id="literal"),
        pytest.param("Bearer canary", "…", id="literal after a scheme"),
        pytest.param("canary ${TOKEN}", "…", id="word that is no scheme"),
        pytest.param("${TOKEN}canary", "…", id="literal after a reference"),
        pytest.param("${TOKEN:-canary}", "…", id="odd name"),
        pytest.param("Bearer${TOKEN}", "…", id="scheme without a blank"),
    ],
)
def test_timeline_document_when_headers_may_hold_secrets(value: str, shown: str) -> None:
    """Only what can be no secret is shown; what is hidden can't be read again unnoticed."""
    source = {"url": "https://cdn.example/v.m3u8", "headers": {"X-Key": value}}
    clip = {"video_id": "v", "start": 0, "end": 1}
    timeline = load_timeline(encoded({"version": 1, "sources": {"v": source}, "clips": [clip]}))
    document = timeline_document(timeline)
    assert {"v": source | {"headers": {"X-Key": shown}}} == document["sources"]
    if value == shown:
        assert timeline == load_timeline(document_text(document).encode())
    else:
        assert ["$.sources.v.headers.X-Key"] == [where for where, _ in mistakes(document_text(document).encode(), None)]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("https://u:canary@h.example/v.mp4?sig=canary#canary", "https://h.example/v.mp4", id="all"),
        pytest.param("HTTPS://h.example/v.mp4", "HTTPS://h.example/v.mp4", id="nothing to hide"),
        pytest.param("my#1?.mp4", "my#1?.mp4", id="path"),
    ],
)
def test_timeline_document_when_addresses_hold_secrets(url: str, shown: str) -> None:
    """An address loses query, fragment and user information; a path is a path."""
    clip = {"video_id": "v", "start": 0, "end": 1}
    timeline = load_timeline(encoded({"version": 1, "sources": {"v": {"url": url}}, "clips": [clip]}))
    assert {"v": {"url": shown}} == timeline_document(timeline)["sources"]


@given(json_values())
def test_document_text_when_any_json(value: object) -> None:
    """It is JSON as Python's own writer puts it."""
    assert json.dumps(value, indent=2, ensure_ascii=False) == document_text(value)


# The command line


def written(folder: Path, data: object) -> str:
    """Write a document; returns its path."""
    path = folder / "reel.json"
    path.write_bytes(encoded(data))
    return str(path)


def test_check_when_it_is_a_jockey_list(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With its index it is fine."""
    path = written(tmp_path, recipe([CLIP, CLIP | {"video_reference": BETA}]))
    assert 0 == run(["check", path, "--index-id", "idx"])
    assert "fine, 2 clips of 2 videos, 1380 frames, 46.000 s" in capfd.readouterr().out


def test_check_when_it_comes_from_stdin(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """So it does in a pipe from the recipe."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(encoded([CLIP]))))
    assert 0 == run(["check", "-", "--index-id", "idx"])
    assert "stdin" not in capfd.readouterr().err


def refused(arguments: Iterable[str], capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Run a command that must exit with 2; returns the lines that it says."""
    assert 2 == run(list(arguments))
    out, err = capfd.readouterr()
    assert "" == out
    assert "Traceback" not in err
    return err.splitlines()


@pytest.mark.parametrize("command", ["check", "plan", "render"])
def test_command_when_the_index_is_missing(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It exits with 2 and says which flag to give."""
    title, mistake = refused([command, written(tmp_path, [CLIP])], capfd)
    assert "reel.json can't be used" in title
    assert "--index-id ID" in mistake


@pytest.mark.parametrize("command", ["check", "plan", "render"])
def test_command_when_the_index_is_not_wanted(command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A timeline with ``--index-id`` exits with 2 and says why."""
    clip = {"video_id": "v", "start": 0, "end": 1}
    path = written(tmp_path, {"version": 1, "sources": {"v": {"url": "v.mp4"}}, "clips": [clip]})
    assert "only for Jockey lists" in refused([command, path, "--index-id", "idx"], capfd)[1]


def test_render_when_a_jockey_list_has_no_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The list can't say where the video goes, so the flag has to."""
    assert "with -o" in refused(["render", written(tmp_path, [CLIP]), "--index-id", "idx"], capfd)[1]


def test_plan_when_its_timeline_is_read_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its ``timeline`` is a document like any other, to the last digit; other keys stay."""
    (tmp_path / "v.mp4").write_bytes(b"")
    digits = "1.0123456789012345678901234567890123456789"
    data = encoded(
        {
            "version": 1,
            "sources": {"v": {"url": "v.mp4"}},
            "clips": [{"video_id": "v", "start": "HERE", "end": 3}],
        }
    ).replace(b'"HERE"', digits.encode())
    assert 0 == run(["plan", "--json", written(tmp_path, data)])
    out = capfd.readouterr().out
    document = json.loads(out, parse_float=str)
    assert digits == document["timeline"]["clips"][0]["start"]
    assert {"version", "output", "clips", "timeline"} <= document.keys()


def test_plan_when_a_jockey_lists_timeline_goes_to_check(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The timeline that ``plan --json`` shows needs no flag any more."""
    path = written(tmp_path, recipe([CLIP | {"description": "Goal\n1"}, CLIP | {"video_reference": "B 2"}]))
    assert 0 == run(["plan", path, "--json", "--index-id", "idx", "--offline"])
    shown = json.loads(capfd.readouterr().out)["timeline"]
    assert {
        "version": 1,
        "sources": {
            ALPHA: {"twelvelabs": {"index_id": "idx", "video_id": ALPHA}},
            "B-2": {"twelvelabs": {"index_id": "idx", "video_id": "B 2"}},
        },
        "clips": [
            {"video_id": ALPHA, "start": 82, "end": 105, "label": "Goal 1"},
            {"video_id": "B-2", "start": 82, "end": 105},
        ],
    } == shown
    assert 0 == run(["check", written(tmp_path, shown)])
    assert "2 clips of 2 videos" in capfd.readouterr().out
