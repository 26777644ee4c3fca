"""Model to JSON: a timeline as a version 1 document that anybody may see, exact to the last digit."""

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import attrs

from clipcut.redact import redact_url
from clipcut.scalars import Number
from clipcut.timebase import parse_decimal
from clipcut.timeline import Clip, Output, Source, Timeline, automatic_id

HIDDEN = "…"
_AUTH_SCHEMES = "ApiKey|Basic|Bearer|Digest|DPoP|Key|Negotiate|OAuth|Token"
_NO_SECRET = re.compile(rf"((?i:{_AUTH_SCHEMES}) +)?(\$\{{[A-Za-z_][A-Za-z0-9_]*\}} *)*", re.ASCII)
_PLACES = 40
"""How many digits ``parse_decimal`` reads after the point."""


def _is_written_as(number: float, value: Fraction) -> bool:
    """Tell whether the text of a float is read as exactly this value."""
    try:
        return parse_decimal(repr(number)) == value
    except ValueError:  # an exponent that nobody reads
        return False


def _json_number(value: Fraction) -> int | float | Number:
    """Return a number as JSON writes it exactly: a float only where its text is the decimal that is meant.

    A number without an end to its decimals, which no document can bring, is rounded to a float.
    """
    if value.denominator == 1:
        return int(value)
    places = next((places for places in range(2 * _PLACES + 1) if (value * 10**places).denominator == 1), None)
    if places is None or _is_written_as(float(value), value):
        return float(value)
    after = min(places, _PLACES)
    digits = str(int(abs(value) * 10**places)).rjust(after + 1, "0")
    sign, exponent = "-" if value < 0 else "", f"e-{places - after}" if places > after else ""
    return Number(f"{sign}{digits[:-after]}.{digits[-after:]}{exponent}")


def _written(value: Any) -> Any:
    """Return a value of the model as JSON."""
    if isinstance(value, Fraction):
        return _json_number(value)
    if isinstance(value, tuple):
        return [_written(item) for item in value]
    return _fields(value) if attrs.has(type(value)) else value


def _fields(model: attrs.AttrsInstance) -> dict[str, Any]:
    """Return the fields of a part of the model that aren't at their defaults."""
    values = ((field, getattr(model, field.name)) for field in attrs.fields(type(model)))
    return {field.name: _written(value) for field, value in values if value != field.default}


def _output_document(output: Output) -> dict[str, Any]:
    fields = _fields(output)
    if "fps" in fields and output.fps.denominator != 1:
        fields["fps"] = f"{output.fps.numerator}/{output.fps.denominator}"
    return fields


def _shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value if _NO_SECRET.fullmatch(value) else HIDDEN for name, value in headers.items()}


def _source_document(source: Source) -> dict[str, Any]:
    fields = _fields(source)
    if source.url is not None and "://" in source.url and re.search("[?#@]", source.url):
        fields["url"] = redact_url(source.url)
    if source.headers is not None:
        fields["headers"] = _shown_headers(source.headers)
    return fields


def _clip_document(index: int, clip: Clip) -> dict[str, Any]:
    fields = _fields(clip)
    if clip.id == automatic_id(index):
        del fields["id"]
    return fields


def timeline_document(timeline: Timeline) -> dict[str, Any]:
    """Return a timeline as a version 1 document that anybody may see, without what is at its default.

    ``load_timeline`` reads what ``document_text`` makes of it back to an equal timeline, to the last digit, unless
    something was taken out. Addresses lose query, fragment and user information. A header's value stays if it is
    nothing but ``${NAME}`` references, also after the word of an authentication scheme (``Bearer ${TOKEN}``); any
    other may be a secret and becomes ``…``, which no header can carry: ``load_timeline`` names each one then, so that
    it can't be sent by mistake.
    """
    output, soundtrack = _output_document(timeline.output), timeline.soundtrack
    return {
        "version": 1,
        **({"output": output} if output else {}),
        "sources": {video_id: _source_document(source) for video_id, source in timeline.sources.items()},
        **({"soundtrack": _fields(soundtrack)} if soundtrack is not None else {}),
        "clips": [_clip_document(index, clip) for index, clip in enumerate(timeline.clips)],
    }


def document_text(value: object, margin: str = "") -> str:
    """Write a document as JSON, each field on a line of its own; the counterpart of ``parse_document``.

    Args:
        value: JSON values, and ``Number`` for those that no float holds.
        margin: The blanks before each line but the first.
    """
    inner = f"{margin}  "
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict) and value:
        lines = [f"{_text(key)}: {document_text(item, inner)}" for key, item in value.items()]
        return "\n".join(["{", ",\n".join(f"{inner}{line}" for line in lines), f"{margin}}}"])
    if isinstance(value, list) and value:
        lines = [document_text(item, inner) for item in value]
        return "\n".join(["[", ",\n".join(f"{inner}{line}" for line in lines), f"{margin}]"])
    return _text(value)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
