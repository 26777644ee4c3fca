"""Proofs of the kinds of value: read strictly, without coercion, and in agreement with their own schemas."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from strategies import json_values

from clipcut.jsonio import parse_document
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
    Number,
    Scalar,
    choice,
    show,
)

KINDS = {
    "seconds": SECONDS,
    "offset": OFFSET,
    "gain": GAIN,
    "size": SIZE,
    "text": TEXT,
    "secret": SECRET,
    "filled": FILLED,
    "identifier": IDENTIFIER,
    "flag": FLAG,
    "frame rate": FRAME_RATE,
    "bitrate": BITRATE,
    "paths": PATHS,
    "choice of texts": choice("contain", "cover"),
    "choice of numbers": choice(1, 2, 6),
}


def read(kind: Scalar, text: str) -> Any:
    """Read a value as the document has it."""
    return kind.read(parse_document(text.encode(), "test"))


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        pytest.param("seconds", "12.5", Fraction(25, 2), id="seconds, number"),
        pytest.param("seconds", "0", Fraction(0), id="seconds, least"),
        pytest.param("seconds", "1e6", Fraction(1_000_000), id="seconds, most"),
        pytest.param("seconds", '"00:01:02.250"', Fraction(249, 4), id="seconds, timecode"),
        pytest.param("seconds", "0.1", Fraction(1, 10), id="seconds, no float"),
        pytest.param("offset", "-1000000", Fraction(-1_000_000), id="offset, least"),
        pytest.param("gain", "-6.5", Fraction(-13, 2), id="gain"),
        pytest.param("size", "16", 16, id="size, least"),
        pytest.param("size", "8192", 8192, id="size, most"),
        pytest.param("size", "1280.0", 1280, id="size, whole with a point"),
        pytest.param("text", '""', "", id="text, empty"),
        pytest.param("text", '"\\u00e9\\ud83d\\ude00"', "é😀", id="text, a pair of halves"),
        pytest.param("secret", '"Bearer ${TOKEN} ~"', "Bearer ${TOKEN} ~", id="secret"),
        pytest.param("secret", '""', "", id="secret, empty"),
        pytest.param("filled", '"a b"', "a b", id="filled"),
        pytest.param("identifier", '"0"', "0", id="identifier, one digit"),
        pytest.param("identifier", f'"{"x" * 64}"', "x" * 64, id="identifier, longest"),
        pytest.param("flag", "false", False, id="flag"),
        pytest.param("frame rate", "30", Fraction(30), id="rate, whole"),
        pytest.param("frame rate", "240", Fraction(240), id="rate, most"),
        pytest.param("frame rate", '"30"', Fraction(30), id="rate, text"),
        pytest.param("frame rate", '"30000/1001"', Fraction(30000, 1001), id="rate, fraction"),
        pytest.param("frame rate", '"1/2"', Fraction(1, 2), id="rate, slow"),
        pytest.param("bitrate", '"8k"', "8k", id="bitrate, least"),
        pytest.param("bitrate", '"1024k"', "1024k", id="bitrate, most"),
        pytest.param("paths", '"a.mp4"', ("a.mp4",), id="paths, one"),
        pytest.param("paths", '["a.mp4", "b.mp4"]', ("a.mp4", "b.mp4"), id="paths, several in order"),
        pytest.param("choice of texts", '"cover"', "cover", id="choice, text"),
        pytest.param("choice of numbers", "2.0", 2, id="choice, whole with a point"),
    ],
)
def test_scalar_when_good(kind: str, text: str, value: object) -> None:
    """A good value is read exactly, into its own type, and its schema agrees."""
    found = read(KINDS[kind], text)
    assert (value, type(value)) == (found, type(found))
    assert Draft202012Validator(dict(KINDS[kind].schema)).is_valid(json.loads(text))


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        pytest.param("seconds", '"5"', "timecode", id="seconds, a number in quotes"),
        pytest.param("seconds", "true", "number", id="seconds, true"),
        pytest.param("seconds", "null", "number", id="seconds, null"),
        pytest.param("seconds", "-0.001", "0 to 1000000", id="seconds, negative"),
        pytest.param("seconds", "1000000.000000001", "0 to 1000000", id="seconds, just too late"),
        pytest.param("seconds", '"9999999"', "0 to 1000000", id="seconds, timecode too late"),
        pytest.param("seconds", "NaN", "decimal number", id="seconds, NaN"),
        pytest.param("seconds", "Infinity", "decimal number", id="seconds, Infinity"),
        pytest.param("seconds", "-Infinity", "decimal number", id="seconds, -Infinity"),
        pytest.param("seconds", "1e9999999", "decimal number", id="seconds, absurd exponent"),
        pytest.param("seconds", "1e-9999999", "decimal number", id="seconds, absurdly small"),
        pytest.param("seconds", "1" * 5000, "decimal number", id="seconds, 5000 digits"),
        pytest.param("gain", '"-6"', "without the quotes", id="gain, a number in quotes"),
        pytest.param("gain", "61", "-120 to 60", id="gain, too loud"),
        pytest.param("gain", "1e9999999", "decimal number", id="gain, absurd exponent"),
        pytest.param("size", '"1280"', "without the quotes", id="size, a number in quotes"),
        pytest.param("size", "true", "number", id="size, true"),
        pytest.param("size", "1280.5", "whole number", id="size, not whole"),
        pytest.param("size", "1281", "even", id="size, odd"),
        pytest.param("size", "8194", "16 to 8192", id="size, too large"),
        pytest.param("size", "1" * 5000, "number", id="size, 5000 digits"),
        pytest.param("text", "5", "quotes", id="text, number"),
        pytest.param("text", '"a\\u0000b"', "control character", id="text, NUL"),
        pytest.param("text", '"\\ud800"', "half a character", id="text, half a character"),
        pytest.param("secret", '"a\\r\\nX: b"', "plain ASCII", id="secret, another header smuggled"),
        pytest.param("secret", '"é"', "plain ASCII", id="secret, beyond ASCII"),
        pytest.param("secret", "5", "in quotes", id="secret, number"),
        pytest.param("filled", '""', "empty", id="filled, empty"),
        pytest.param("identifier", '"a b"', "begin with a letter or digit", id="identifier, space"),
        pytest.param("identifier", '"-a"', "begin with a letter or digit", id="identifier, dash first"),
        pytest.param("identifier", '"a\\n"', "control character", id="identifier, newline last"),
        pytest.param("identifier", '"é"', "A-Z a-z 0-9", id="identifier, other letters"),
        pytest.param("identifier", f'"{"x" * 65}"', "1 to 64", id="identifier, too long"),
        pytest.param("flag", "1", "true nor false", id="flag, 1"),
        pytest.param("flag", '"true"', "true nor false", id="flag, text"),
        pytest.param("frame rate", "29.97", "30000/1001", id="rate, 29.97"),
        pytest.param("frame rate", "23.976", "24000/1001", id="rate, 23.976"),
        pytest.param("frame rate", "true", "whole number or a fraction", id="rate, true"),
        pytest.param("frame rate", '"1/0"', "fraction", id="rate, divided by nothing"),
        pytest.param("frame rate", '"0/1"', "above 0", id="rate, nothing"),
        pytest.param("frame rate", "241", "up to 240", id="rate, too fast"),
        pytest.param("frame rate", '"240001/1000"', "up to 240", id="rate, a little too fast"),
        pytest.param("frame rate", "1e9999999", "number", id="rate, absurd exponent"),
        pytest.param("bitrate", "192", "192k", id="bitrate, number"),
        pytest.param("bitrate", '"192000"', "192k", id="bitrate, in bits"),
        pytest.param("bitrate", '"7k"', "8k", id="bitrate, too low"),
        pytest.param("paths", "[]", "empty list", id="paths, none"),
        pytest.param("paths", '["a", 5]', "quotes", id="paths, number in the list"),
        pytest.param("choice of texts", '"fill"', '"contain", "cover"', id="choice, unknown"),
        pytest.param("choice of numbers", "true", "1, 2, 6", id="choice, true is not 1"),
        pytest.param("choice of numbers", '"1"', "1, 2, 6", id="choice, a number in quotes"),
        pytest.param("choice of numbers", "1e9999999", "1, 2, 6", id="choice, absurd exponent"),
    ],
)
def test_scalar_when_bad(kind: str, text: str, hint: str) -> None:
    """A bad value is refused in words that say what to write."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the text is looked at below
        read(KINDS[kind], text)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
@given(value=json_values())
def test_scalar_schema_when_any(name: str, value: object) -> None:
    """What a kind reads, its schema accepts too: no document that works is called wrong by an editor."""
    text = json.dumps(value)
    try:
        read(KINDS[name], text)
    except ValueError:
        return
    assert Draft202012Validator(dict(KINDS[name].schema)).is_valid(json.loads(text))


@pytest.mark.parametrize("name", KINDS)
def test_scalar_schema_when_checked(name: str) -> None:
    """Each kind's schema is one of draft 2020-12."""
    Draft202012Validator.check_schema(dict(KINDS[name].schema))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(Number("1.50"), "1.50", id="number as written"),
        pytest.param(None, "null", id="null"),
        pytest.param(True, "true", id="true"),
        pytest.param('a"b', '"a\\"b"', id="text in quotes"),
        pytest.param([Number("1.5"), 2], "[1.5, 2]", id="numbers in a list as written"),
        pytest.param("十秒", '"十秒"', id="letters as written"),
        pytest.param({"é": "\n\x7f"}, '{"é": "\\n\\u007f"}', id="controls escaped"),
        pytest.param("a\u202eb\ud800", '"a\\u202eb\\ud800"', id="what turns or breaks a line escaped"),
    ],
)
def test_show_when(value: object, text: str) -> None:
    """A value is shown as the document has it."""
    assert text == show(value)


def test_show_when_long() -> None:
    """A long value is cut, so that a message stays a line."""
    assert 60 >= len(show("x" * 10_000))
    assert 60 >= len(show(Number("1" * 5000)))
    assert ['"' + "十" * 58 + '"', '"' + "十" * 56 + "..."] == [show("十" * count) for count in (58, 59)]
