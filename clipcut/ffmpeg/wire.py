"""Values that go to a reader and come back, as JSON: exact, and never more than data.

What comes back may be from a reader that a hostile file has taken over. So nothing is believed that isn't of the form
it must have: numbers are bounded, words are short and plain, and no path is named that the reader wasn't given.
"""

import base64
import enum
import os
import re
import types
from array import array
from collections.abc import Collection
from fractions import Fraction
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import attrs

from clipcut.errors import Reason, RenderError, SourceError
from clipcut.ffmpeg.need import Side, UncoveredError

Failure = SourceError | RenderError | UncoveredError
"""What a reader meets that is no bug: a bad source, a machine with no room, a piece that is too short."""

_WORD = re.compile(r"[A-Za-z0-9_.+-]{0,64}", re.ASCII)
_FRACTION = re.compile(r"(-?[0-9]{1,60})/([0-9]{1,60})", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONGEST_MESSAGE = 1000
_LARGEST = 2**64


class RubbishError(Exception):
    """An answer that no sound reader gives."""


def to_plain(value: object) -> Any:
    """Return JSON for a value: numbers, words, fractions, paths, rows of numbers, and attrs values made of these."""
    match value:
        case enum.Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case Fraction() | Path() | array():
            return _text(value)
        case tuple() | list():
            return [to_plain(item) for item in value]
    kind: Any = type(value)
    if not attrs.has(kind):
        raise TypeError(f"a {kind.__name__} can't go to a reader")
    return {field.name: to_plain(getattr(value, field.name)) for field in attrs.fields(kind)}


def _text(value: "Fraction | Path | array[int]") -> str:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        return os.fsencode(value).decode("utf-8", "surrogateescape")
    return base64.b64encode(value.tobytes()).decode()


@attrs.frozen
class Form:
    """Makes values from JSON.

    Attributes:
        paths: The paths that may be named, in any answer that isn't trusted: these, and these with another suffix.
            None for JSON that clipcut itself wrote.
    """

    paths: Collection[Path] | None = None

    def read(self, kind: Any, plain: Any) -> Any:
        """Make a value of a type, as annotations have it.

        Raises:
            RubbishError: The JSON has another form, or is not to be believed.
        """
        if kind in _PLAIN:
            return self._scalar(kind, plain)
        if get_origin(kind) in (types.UnionType, Union):
            chosen = [arm for arm in get_args(kind) if (arm is types.NoneType) == (plain is None)]
            return None if chosen == [types.NoneType] else self.read(_only(chosen), plain)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return self._choice(kind, plain)
        if get_origin(kind) is tuple:
            return self._tuple(get_args(kind), plain)
        if isinstance(kind, type) and attrs.has(kind):
            return self._object(kind, plain)
        raise TypeError(f"{kind} can't come from a reader")

    def _scalar(self, kind: Any, plain: Any) -> Any:
        if kind in (int, bool):
            _see(type(plain) is kind and -_LARGEST < plain < _LARGEST)
            return plain
        _see(isinstance(plain, str))
        if kind is str:
            _see(self.paths is None or _WORD.fullmatch(plain) is not None)
            return plain
        if kind is Fraction:
            match = _FRACTION.fullmatch(plain)
            _see(match is not None and int(match[2]) > 0)
            return Fraction(int(match[1]), int(match[2]))  # type: ignore[index]  # it matches
        return self._path(plain) if kind is Path else _row(plain)

    def _choice(self, kind: type[enum.Enum], plain: Any) -> Any:
        try:
            return kind(plain)
        except ValueError as exc:
            raise RubbishError(f"no {kind.__name__}") from exc

    def _path(self, plain: str) -> Path:
        path = Path(os.fsdecode(plain.encode("utf-8", "surrogateescape")))
        _see(self.paths is None or any(path.with_suffix("") == known.with_suffix("") for known in self.paths))
        return path

    def _tuple(self, kinds: tuple[Any, ...], plain: Any) -> tuple[Any, ...]:
        _see(isinstance(plain, list))
        if kinds[-1] is Ellipsis:
            return tuple([self.read(kinds[0], item) for item in plain])
        _see(len(plain) == len(kinds))
        return tuple(self.read(kind, item) for kind, item in zip(kinds, plain, strict=True))

    def _object(self, kind: Any, plain: Any) -> Any:
        fields = attrs.fields(kind)
        _see(isinstance(plain, dict) and set(plain) == {field.name for field in fields})
        try:
            return kind(**{field.name: self.read(field.type, plain[field.name]) for field in fields})
        except (ValueError, TypeError) as exc:
            raise RubbishError(f"no {kind.__name__}") from exc


_ROW = "array[int]"
"""The annotation of a row of numbers, as it is written (Python 3.11 can't evaluate it)."""

_PLAIN = (int, bool, str, Fraction, Path, _ROW)


def _see(is_sound: bool) -> None:
    if not is_sound:
        raise RubbishError("a value that is none")


def _only(kinds: list[Any]) -> Any:
    _see(len(kinds) == 1)
    return kinds[0]


def _row(plain: str) -> "array[int]":
    row = array("q")
    try:
        row.frombytes(base64.b64decode(plain, validate=True))
    except ValueError as exc:
        raise RubbishError("no row of numbers") from exc
    return row


def failure_to_plain(failure: Failure) -> dict[str, Any]:
    """Return JSON for what a reader met: a source that can't be used, a machine with no room, a piece too short."""
    match failure:
        case SourceError():
            return {"failed": "source", "reason": failure.reason.value, "message": str(failure)}
        case UncoveredError():
            return {"failed": "uncovered", "side": failure.side.value, "is_sound": failure.is_sound}
    return {"failed": "render", "message": str(failure)}


def failure_from_plain(plain: dict[str, Any]) -> Failure:
    """Make the exception of ``failure_to_plain``.

    Raises:
        RubbishError: It is none.
    """
    try:
        match plain:
            case {"failed": "source", "reason": str(reason), "message": str(message)}:
                return SourceError(Reason(reason), printable(message))
            case {"failed": "uncovered", "side": str(side), "is_sound": bool(is_sound)}:
                return UncoveredError(Side(side), is_sound=is_sound)
            case {"failed": "render", "message": str(message)}:
                return RenderError(printable(message))
    except ValueError as exc:
        raise RubbishError("a reason that is none") from exc
    raise RubbishError("a failure that is none")


def printable(message: str) -> str:
    """Return a reader's words as they may be shown: not too long, and nothing in them that a terminal obeys."""
    return _UNPRINTABLE.sub("?", message[:_LONGEST_MESSAGE])
