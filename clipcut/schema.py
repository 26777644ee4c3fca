"""The JSON Schema of a timeline, made from the model's own fields and kinds."""

import types
import typing
from typing import Any

import attrs

from clipcut.jsonio import MAX_CLIPS, is_mapping, scalar_of
from clipcut.scalars import ID_PATTERN
from clipcut.timeline import Clip, Output, Soundtrack, Source


def _optional_of(kind: object) -> Any:
    """Return what stands beside ``None`` in ``X | None``, else None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return rest[0] if len(rest) == 1 else None
    return None


def _schema_of(kind: Any) -> dict[str, Any]:
    if (scalar := scalar_of(kind)) is not None:
        return dict(scalar.schema)
    if (inner := _optional_of(kind)) is not None:
        return {"anyOf": [_schema_of(inner), {"type": "null"}]}
    if is_mapping(kind):
        return {"type": "object", "additionalProperties": _schema_of(typing.get_args(kind)[1])}
    return _class_schema(kind)


def _class_schema(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    schema: dict[str, Any] = {"type": "object", "description": (cls.__doc__ or "").strip().partition("\n")[0]}
    schema["properties"] = {field.name: _schema_of(hints[field.name]) for field in attrs.fields(cls)}
    if required := [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def timeline_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a version 1 timeline, made from the model's own fields.

    What no schema can say (ids are unique, a clip's source exists, it ends after it starts) ``load_timeline`` checks.
    """
    clip = _class_schema(Clip)
    clip["oneOf"] = [
        {"required": [one], "properties": {one: {"not": {"type": "null"}}, other: {"type": "null"}}}
        for one, other in (("end", "duration"), ("duration", "end"))
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clipcut timeline, version 1",
        "type": "object",
        "properties": {
            "version": {"const": 1, "type": "integer"},
            "output": _class_schema(Output),
            "sources": {
                "type": "object",
                "propertyNames": {"pattern": f"^{ID_PATTERN}$"},
                "additionalProperties": _class_schema(Source),
            },
            "soundtrack": {"anyOf": [_class_schema(Soundtrack), {"type": "null"}]},
            "clips": {"type": "array", "items": clip, "minItems": 1, "maxItems": MAX_CLIPS},
        },
        "required": ["version", "sources", "clips"],
        "additionalProperties": False,
    }
