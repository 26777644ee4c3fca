"""The kinds of value that a timeline may hold: how each is read strictly, and its JSON Schema.

A model annotates a field ``Annotated[Fraction, SECONDS]``; ``jsonio`` finds the ``Scalar`` there. Nothing is
coerced: ``"5"`` is no number, ``true`` is no number, ``5.5`` is no whole number.
"""

import contextlib
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import attrs

from clipcut.errors import quoted
from clipcut.timebase import MAX_SECONDS, parse_decimal, parse_timecode

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_ID = re.compile(ID_PATTERN, re.ASCII)
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)
_BITRATE = re.compile(r"[1-9][0-9]{0,5}k", re.ASCII)
_TIME_SCHEMA_PATTERN = r"^(([0-9]{1,6}:)?[0-9]{1,6}:[0-5][0-9]|[0-9]{2,7})(\.[0-9]{1,12})?$"


@attrs.frozen
class Number:
    """A number of a document that isn't a plain int: kept as it is written, so that nothing is lost or computed."""

    text: str


@attrs.frozen
class Scalar:
    """How one kind of value is read and described.

    Attributes:
        read: Takes a value as ``jsonio`` parses it; returns the exact value or raises ``ValueError`` with words for
            the user.
        schema: Its JSON Schema (draft 2020-12).
    """

    read: Callable[[object], Any]
    schema: Mapping[str, Any] = attrs.field(hash=False)


def show(value: object) -> str:
    """Write a value as the document has it, shortened."""
    if isinstance(value, Number):
        text = value.text
    elif isinstance(value, list):
        text = f"[{', '.join(show(item) for item in value[:20])}]"
    elif isinstance(value, dict):
        text = f"{{{', '.join(f'{show(key)}: {show(item)}' for key, item in list(value.items())[:20])}}}"
    else:
        text = quoted(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number(value: object) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | Number):
        hint = " (without the quotes)" if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) else ""
        raise ValueError(f"{show(value)} is not a number; write one{hint}")  # noqa: TRY004  the reader collects these
    if isinstance(value, int):
        return Fraction(value)
    try:
        return parse_decimal(value.text)
    except ValueError as exc:
        raise ValueError(f"{show(value)} is {exc}; write a plain decimal number") from None


def _between(value: Fraction, low: Fraction | int, high: Fraction | int, shown: str) -> Fraction:
    if not low <= value <= high:
        raise ValueError(f"{shown} is out of range; write {low} to {high}")
    return value


def _read_seconds(value: object) -> Fraction:
    if isinstance(value, str):
        try:
            seconds = parse_timecode(value)
        except ValueError:
            raise ValueError(
                f"{show(value)} is not a time; write seconds as a number (62.25) or a timecode (00:01:02.250)"
            ) from None
    else:
        seconds = _number(value)
    return _between(seconds, 0, MAX_SECONDS, f"{show(value)} seconds")


def integer(low: int, high: int, *, step: int = 1) -> Scalar:
    """Return the kind of whole numbers from ``low`` to ``high``, both included, multiples of ``step``."""

    def read(value: object) -> int:
        number = _number(value)
        if number.denominator != 1:
            raise ValueError(f"{show(value)} is not a whole number; write {low} to {high}")
        _between(number, low, high, show(value))
        if number % step:
            raise ValueError(f"{show(value)} is odd; sizes are even, for example {int(number) - 1}")
        return int(number)

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Scalar(read, schema if step == 1 else schema | {"multipleOf": step})


def decimal(low: int, high: int) -> Scalar:
    """Return the kind of decimal numbers from ``low`` to ``high``, both included."""
    return Scalar(
        lambda value: _between(_number(value), low, high, show(value)),
        {"type": "number", "minimum": low, "maximum": high},
    )


def _whole(value: object) -> object:
    """Return ``2.0`` as 2 (JSON has one kind of number), anything else as it is."""
    if isinstance(value, Number):
        with contextlib.suppress(ValueError):
            number = _number(value)
            return number.numerator if number.denominator == 1 else value
    return value


def choice(*values: str | int) -> Scalar:
    """Return the kind that has just these values."""
    listed = ", ".join(show(value) for value in values)

    def read(value: object) -> str | int:
        plain = _whole(value)
        for known in values:
            if type(known) is type(plain) and known == plain:
                return known
        raise ValueError(f"{show(value)} is not one of {listed}")

    return Scalar(read, {"enum": list(values)})


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a text; write it in quotes")  # noqa: TRY004
    if any(ord(char) < 32 or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise ValueError(f"{show(value)} has a control character or half a character in it")
    return value


def _read_secret(value: object) -> str:
    """Read a text that may be a secret, so no message repeats it."""
    if not isinstance(value, str) or not value.isprintable() or not value.isascii():
        raise ValueError(
            "is not a text that a header can carry (its value isn't shown here); write plain ASCII in quotes"
        )
    return value


def _read_filled(value: object) -> str:
    if not (text := _read_text(value)):
        raise ValueError("an empty text says nothing; leave the field out or fill it")
    return text


def _read_identifier(value: object) -> str:
    text = _read_text(value)
    if not _ID.fullmatch(text):
        raise ValueError(
            f"{show(value)} is not an id; write 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
        )
    return text


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false")  # noqa: TRY004
    return value


_NTSC = {24: "24000/1001", 30: "30000/1001", 48: "48000/1001", 60: "60000/1001", 120: "120000/1001"}


def _read_rate(value: object) -> Fraction:
    match = _RATE.fullmatch(value if isinstance(value, str) and "/" in value else f"{value}/1")
    if isinstance(value, str) and match is not None and int(match[2]):
        rate = Fraction(int(match[1]), int(match[2]))
    elif isinstance(value, int | Number) and not isinstance(value, bool) and (rate := _number(value)).denominator == 1:
        pass
    else:
        near = _NTSC.get(math.ceil(rate)) if isinstance(value, Number) else None
        raise ValueError(
            f'{show(value)} is not a frame rate; write a whole number or a fraction such as "{near or "30000/1001"}"'
        )
    if not 0 < rate <= 240 or rate.denominator > 1_000_000:
        raise ValueError(f"{show(value)} frames a second are out of range; write above 0, up to 240")
    return rate


def _read_bitrate(value: object) -> str:
    if not isinstance(value, str) or not _BITRATE.fullmatch(value) or not 8 <= int(value[:-1]) <= 1024:
        raise ValueError(f'{show(value)} is not a bitrate; write "8k" to "1024k", for example "192k"')
    return value


def _read_paths(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("an empty list of local copies; leave it out or name a file")
    return tuple(_read_filled(item) for item in items)


SECONDS = Scalar(
    _read_seconds,
    {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            {"type": "string", "pattern": _TIME_SCHEMA_PATTERN},
        ]
    },
)
OFFSET = decimal(-MAX_SECONDS, MAX_SECONDS)
GAIN = decimal(-120, 60)
SIZE = integer(16, 8192, step=2)
TEXT = Scalar(_read_text, {"type": "string"})
SECRET = Scalar(_read_secret, {"type": "string", "pattern": r"^[ -~]*$"})
FILLED = Scalar(_read_filled, {"type": "string", "minLength": 1})
IDENTIFIER = Scalar(_read_identifier, {"type": "string", "pattern": f"^{ID_PATTERN}$"})
FLAG = Scalar(_read_flag, {"type": "boolean"})
FRAME_RATE = Scalar(
    _read_rate,
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 240},
            {"type": "string", "pattern": "^[0-9]{1,9}(/[0-9]{1,9})?$"},
        ]
    },
)
BITRATE = Scalar(_read_bitrate, {"type": "string", "pattern": "^[1-9][0-9]{0,5}k$"})
PATHS = Scalar(
    _read_paths,
    {
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ]
    },
)
