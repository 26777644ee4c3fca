"""Hypothesis strategies: rates, durations, decimals as text, good timelines, and timelines with one thing broken."""

import copy
import math
import string
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import attrs
from hypothesis import strategies as st

NTSC_RATES = tuple(Fraction(nominal * 1000, 1001) for nominal in (24, 30, 48, 60, 120, 240))
LETTERS = string.ascii_letters + string.digits

Document = dict[str, Any]


def rates() -> st.SearchStrategy[Fraction]:
    """Output rates: whole ones from 1 to 240, the NTSC ones, and other fractions."""
    return st.one_of(
        st.integers(1, 240).map(Fraction),
        st.sampled_from(NTSC_RATES),
        st.fractions(min_value=1, max_value=240, max_denominator=10_000),
    )


def durations() -> st.SearchStrategy[Fraction]:
    """Exact durations in seconds: milliseconds, whole multiples of film and video frames, and other fractions."""
    return st.one_of(
        st.integers(1, 60_000).map(lambda ms: Fraction(ms, 1000)),
        st.builds(Fraction, st.integers(1, 5000), st.sampled_from([24, 25, 30, 48, 60, 120, 240])),
        st.fractions(min_value=0, max_value=600, max_denominator=1_000_000),
    )


@st.composite
def decimals(draw: st.DrawFn) -> tuple[str, Fraction]:
    """A time from 0 to 1,000,000 as decimal text of up to 9 places, and the value that it stands for."""
    whole = draw(st.integers(0, 999_999))
    places = draw(st.text(string.digits, max_size=9))
    return f"{whole}{'.' + places if places else ''}", Fraction(int(f"{whole}{places}"), 10 ** len(places))


def json_values() -> st.SearchStrategy[Any]:
    """Any value that JSON can hold, NaN, half characters and the timeline's own keys included."""
    texts = st.text(st.characters(), max_size=8)
    keys = st.sampled_from(["version", "output", "sources", "clips", "id", "video_id", "start", "end", "url", "local"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys | texts, inner, max_size=4),
        max_leaves=12,
    )


def _ids() -> st.SearchStrategy[str]:
    return st.builds(str.__add__, st.sampled_from(string.ascii_letters), st.text(LETTERS + "_-", max_size=10))


def _texts() -> st.SearchStrategy[str]:
    texts = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=12)
    return texts.filter(lambda text: "://" not in text)  # as a path it would be an address


def _videos() -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {},
        optional={
            "codec": st.just("h264"),
            "crf": st.integers(0, 51) | st.sampled_from([0.5, 18.25, 51.0]),
            "preset": st.sampled_from(["ultrafast", "veryfast", "medium"]),
        },
    )


def _audios() -> st.SearchStrategy[Document]:
    return st.fixed_dictionaries(
        {},
        optional={
            "codec": st.just("aac"),
            "bitrate": st.integers(8, 1024).map(lambda kilobits: f"{kilobits}k"),
            "sample_rate": st.sampled_from([8000, 44100, 48000, 96000, 48000.0]),
            "channels": st.sampled_from([1, 2, 6]),
        },
    )


def _outputs() -> st.SearchStrategy[Document]:
    sizes = st.integers(8, 4096).map(lambda half: half * 2)
    return st.fixed_dictionaries(
        {},
        optional={
            "path": st.none() | _texts(),
            "width": sizes,
            "height": sizes,
            "fps": st.integers(1, 240) | st.sampled_from(["25", "30000/1001", "24000/1001", "1/1", 30.0]),
            "fit": st.sampled_from(["contain", "cover", "stretch"]),
            "video": _videos(),
            "audio": _audios(),
        },
    )


@st.composite
def _sources(draw: st.DrawFn) -> Document:
    source: Document = {}
    locals_ = _texts() | st.lists(_texts(), min_size=1, max_size=3)
    kind = draw(st.sampled_from(["url", "twelvelabs", "local"]))
    if kind == "url":
        source["url"] = draw(st.sampled_from(["https://cdn.example/v1/index.m3u8", "media/v1.mp4", "file:///v1.mp4"]))
    elif kind == "twelvelabs":
        source["twelvelabs"] = {"index_id": draw(_texts()), "video_id": draw(_texts())}
    if kind == "local" or draw(st.booleans()):
        source["local"] = draw(locals_)
    if draw(st.booleans()):
        source["headers"] = draw(
            st.none() | st.dictionaries(st.text(LETTERS + "-", min_size=1), st.text(LETTERS + " ${}_"), max_size=2)
        )
    if draw(st.booleans()):
        source["carry_query"] = draw(st.booleans())
    for name in draw(st.sets(st.sampled_from(["url", "twelvelabs", "local"]), max_size=2)):
        source.setdefault(name, None)
    return source


def _time(milliseconds: int, form: str) -> Any:
    """One time as JSON, in one of its forms; a float of so few digits prints as the decimal it was made from."""
    if form == "timecode":
        seconds, rest = divmod(milliseconds, 1000)
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"
    return milliseconds / 1000 if milliseconds % 1000 or form == "float" else milliseconds // 1000


@st.composite
def _clips(draw: st.DrawFn, index: int, video_ids: list[str], fps: Fraction) -> Document:
    form = st.sampled_from(["integer", "float", "timecode"])
    start = draw(st.integers(0, 900_000_000))
    length = draw(st.integers(math.ceil(1000 / fps), 90_000))
    clip: Document = {"video_id": draw(st.sampled_from(video_ids)), "start": _time(start, draw(form))}
    if draw(st.booleans()):
        clip |= {"end": _time(start + length, draw(form))}
        nothing = "duration"
    else:
        clip |= {"duration": _time(length, draw(form))}
        nothing = "end"
    extras = st.fixed_dictionaries(
        {},
        optional={
            nothing: st.none(),
            "id": st.none() | st.sampled_from(["line", "Take.2", "0_x"]).map(lambda prefix: f"{prefix}-{index}"),
            "mute": st.booleans(),
            "gain_db": st.sampled_from([0, -6, -120, 60, 0.5]),
            "label": st.none() | _texts() | st.just(""),
        },
    )
    return clip | draw(extras)


def output_rate(document: Document) -> Fraction:
    """The output rate of a good document."""
    return Fraction(document.get("output", {}).get("fps", 30))


@st.composite
def timelines(draw: st.DrawFn) -> Document:
    """Timelines of version 1 that are good in every respect."""
    document: Document = {"version": draw(st.sampled_from([1, 1.0]))}
    if draw(st.booleans()):
        document["output"] = draw(_outputs())
    document["sources"] = draw(st.dictionaries(_ids(), _sources(), min_size=1, max_size=3))
    video_ids, fps = sorted(document["sources"]), output_rate(document)
    document["clips"] = [draw(_clips(index, video_ids, fps)) for index in range(draw(st.integers(1, 5)))]
    return document


@attrs.frozen
class Broken:
    """A timeline with one thing broken in its structure.

    Attributes:
        document: The timeline.
        where: The JSON path at which the mistake must be reported.
    """

    document: Document
    where: str


NOT_TEXT: tuple[Any, ...] = (5, 1.5, True, [], {})
NOT_NUMBER: tuple[Any, ...] = ("5", "", True, False, [], [5], {})
NOT_OBJECT: tuple[Any, ...] = (5, "x", True, [], [1])
NOT_TIME: tuple[Any, ...] = (*NOT_NUMBER, "abc", "1:2", "00:61", "1:75:00.", "-5", -1, -0.001, 1_000_001, 1e30)
NOT_SIZE: tuple[Any, ...] = (*NOT_NUMBER, None, 16.5, 17, 14, 0, -2, 8194, 1e30)
NOT_ID: tuple[Any, ...] = (*NOT_TEXT, "", "-x", "a b", "é", "x" * 65)
BAD_VALUES: dict[str, dict[str, tuple[Any, ...]]] = {
    "timeline": {
        "version": (2, 0, -1, "1", True, None, 1.5, [], {}),
        "output": (*NOT_OBJECT, None),
        "sources": (*NOT_OBJECT, None),
        "clips": (5, "x", True, {}, [], None),
    },
    "output": {
        "path": (*NOT_TEXT, ""),
        "width": NOT_SIZE,
        "height": NOT_SIZE,
        "fps": (True, None, [], {}, 0, -1, 241, 29.97, "", "abc", "30/", "/1", "29.97", "-30", "1e3"),
        "fit": (*NOT_TEXT, None, "", "Contain", "fill"),
        "video": (*NOT_OBJECT, None),
        "audio": (*NOT_OBJECT, None),
    },
    "video": {
        "codec": (*NOT_TEXT, None, "h265", "H264"),
        "crf": (*NOT_NUMBER, None, -1, 51.5, 52),
        "preset": (*NOT_TEXT, None, "turbo"),
    },
    "audio": {
        "codec": (*NOT_TEXT, None, "mp3"),
        "bitrate": (*NOT_TEXT, None, 192, "192", "192K", "0k", "-8k"),
        "sample_rate": (*NOT_NUMBER, None, 0, 47999, "48000"),
        "channels": (*NOT_NUMBER, None, 0, 3, 2.5),
    },
    "source": {
        "url": (*NOT_TEXT, ""),
        "twelvelabs": NOT_OBJECT,
        "local": (5, True, {}, [], "", [""], [5], [None], [["x"]]),
        "headers": NOT_OBJECT,
        "carry_query": (1, 0, "true", "", None, [], {}),
    },
    "twelvelabs": {"index_id": (*NOT_TEXT, None, ""), "video_id": (*NOT_TEXT, None, "")},
    "headers": {"X-Token": (*NOT_TEXT, None)},
    "clip": {
        "id": NOT_ID,
        "video_id": (*NOT_ID, None),
        "start": (*NOT_TIME, None),
        "end": NOT_TIME,
        "duration": NOT_TIME,
        "mute": (1, 0, "true", "", None, [], {}),
        "gain_db": (*NOT_NUMBER, None, -121, 61, 1e30),
        "label": NOT_TEXT,
    },
}
REQUIRED = {
    "timeline": ("version", "sources", "clips"),
    "twelvelabs": ("index_id", "video_id"),
    "clip": ("video_id", "start"),
}
UNKNOWN_KEYS = ("startt", "vidoe_id", "Version", "clip", "colour", "x", "URL")


def _objects(document: Document) -> list[tuple[str, str, Document]]:
    """Every object of a good timeline: its kind, its JSON path, itself."""
    found: list[tuple[str, str, Document]] = [("timeline", "$", document)]
    if (output := document.get("output")) is not None:
        found.append(("output", "$.output", output))
        found += [(kind, f"$.output.{kind}", output[kind]) for kind in ("video", "audio") if kind in output]
    for name, source in document["sources"].items():
        where = f"$.sources.{name}"
        found.append(("source", where, source))
        found += [(kind, f"{where}.{kind}", source[kind]) for kind in ("twelvelabs", "headers") if source.get(kind)]
    found += [("clip", f"$.clips[{index}]", clip) for index, clip in enumerate(document["clips"])]
    return found


def every_broken_value(document: Document) -> Iterator[tuple[str, Broken]]:
    """Break each field of each object of a good timeline in every known way; yields the kind of object with it."""
    for place, (kind, where, _) in enumerate(_objects(document)):
        for key, values in BAD_VALUES[kind].items():
            for value in values:
                broken = copy.deepcopy(document)
                _objects(broken)[place][2][key] = value
                yield kind, Broken(broken, f"{where}.{key}")


@st.composite
def broken_timelines(draw: st.DrawFn) -> Broken:
    """Good timelines of which one field's type, range, name or presence was broken."""
    document = copy.deepcopy(draw(timelines()))
    by_kind: dict[str, list[tuple[str, Document]]] = {}
    for kind, path, item in _objects(document):
        by_kind.setdefault(kind, []).append((path, item))
    kind = draw(st.sampled_from(sorted(by_kind)))
    where, item = draw(st.sampled_from(by_kind[kind]))
    damage = draw(st.sampled_from(["value", "value", "unknown", "missing", "ends"]))
    if damage == "unknown" and kind != "headers":
        key = draw(st.sampled_from([key for key in UNKNOWN_KEYS if key not in BAD_VALUES[kind]]))
        item[key] = draw(st.sampled_from([None, 1, "x", {}]))
    elif damage == "missing" and kind in REQUIRED:
        key = draw(st.sampled_from(REQUIRED[kind]))
        del item[key]
    elif damage == "ends" and kind == "clip":
        item["end"], item["duration"] = draw(st.sampled_from([(None, None), (999_999, 10)]))
        return Broken(document, where)
    else:
        key = draw(st.sampled_from(sorted(BAD_VALUES[kind])))
        item[key] = draw(st.sampled_from(BAD_VALUES[kind][key]))
    return Broken(document, f"{where}.{key}")
