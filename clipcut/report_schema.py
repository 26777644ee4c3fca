"""The JSON Schema of a report: what scripts may rely on; the tests hold every report that they make against it."""

import enum
from typing import Any

from clipcut.errors import Reason
from clipcut.options import OPTIONS, Option, plain
from clipcut.plan import Method
from clipcut.results import Outcome, RenderStatus, Status
from clipcut.scalars import ID_PATTERN
from clipcut.settings import Origin
from clipcut.signals import SIGNALS
from clipcut.smart import Why

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NULL: Schema = {"type": "null"}
COUNT: Schema = {"type": "integer", "minimum": 0}
AT_LEAST_ONE: Schema = {"type": "integer", "minimum": 1}
NONE: Schema = {"const": 0}
SECONDS: Schema = {"type": "number", "minimum": 0}
ID: Schema = {"type": "string", "pattern": f"^{ID_PATTERN}$"}
RATE: Schema = {"type": "string", "pattern": "^[1-9][0-9]*(/[1-9][0-9]*)?$"}
TIMECODE: Schema = {"type": "string", "pattern": "^[0-9]{2}:[0-5][0-9]:[0-5][0-9][:;][0-9]{2,3}$"}
MOMENT: Schema = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}

_KINDS = {int: "integer", float: "number", str: "string"}
_ENDS = {
    RenderStatus.COMPLETE: [0],
    RenderStatus.DEGRADED: [3],
    RenderStatus.FAILED: [1],
    RenderStatus.INTERRUPTED: sorted(128 + number for number in SIGNALS),
}
"""The exit codes of each status."""
_SHOWS_A_SOURCE = {
    Status.SUCCESS: True,
    Status.FALLBACK_LOCAL: True,
    Status.FALLBACK_PLACEHOLDER: False,
    Status.FAILED: False,
    Status.CANCELLED: False,
}
"""Whether a clip of each status shows anything of its source."""


def _object(properties: Schema, **more: Any) -> Schema:
    """Return the schema of an object that has exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        **more,
    }


def _one_of(choice: type[enum.StrEnum]) -> Schema:
    return {"enum": [str(member) for member in choice]}


def _hex(digits: int) -> Schema:
    return {"type": "string", "pattern": f"^[0-9a-f]{{{digits}}}$"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


def _when(key: str, value: object, then: Schema) -> Schema:
    """Return what must hold of other keys where one key has a value."""
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": {"properties": then}}


def _value(option: Option) -> Schema:
    """Return what a setting may be in a report; null where no value is its default."""
    if option.default is not None:
        return {"type": _KINDS[type(plain(option.default))], "minimum": 0}
    kinds = option.kind if isinstance(option.kind, tuple) else (option.kind,)
    names = [_KINDS[kind] for kind in kinds]
    return {"type": [*(name for name in names if name != "integer" or "number" not in names), "null"], "minimum": 0}


def _config() -> Schema:
    origin = _one_of(Origin)
    return _object({option.name: _object({"value": _value(option), "origin": origin}) for option in OPTIONS})


def _clip_stats() -> Schema:
    tasks = ("success", "fallback_local", "placeholder", "failed", "cancelled", "cached")
    return _object(
        {
            "total_tasks": AT_LEAST_ONE,
            **{f"{end}_tasks": COUNT for end in tasks},
            "retries": COUNT,
            "max_parallelism": AT_LEAST_ONE,
            "peak_parallelism": COUNT,
            "per_video_limit": AT_LEAST_ONE,
            "peak_per_video": COUNT,
            **{f"{what}_duration_ms": COUNT for what in ("avg", "p50", "p95", "max")},
            "requests": COUNT,
            "bytes_fetched": COUNT,
        }
    )


def _attempt() -> Schema:
    """Return the schema of an attempt: it has a reason where its rung failed, was known to be gone, or was late."""
    late = _or_null({"const": str(Reason.DEADLINE)})
    why = {Outcome.OK: NULL, Outcome.CANCELLED: late, Outcome.FAILED: _one_of(Reason), Outcome.SKIPPED: _one_of(Reason)}
    return _object(
        {
            "method": _one_of(Method),
            "outcome": _one_of(Outcome),
            "reason": _or_null(_one_of(Reason)),
            "message": TEXT_OR_NULL,
            "retries": COUNT,
            "duration_ms": COUNT,
        },
        allOf=[
            _when("outcome", str(outcome), {"reason": reason, **({"message": NULL} if reason is NULL else {})})
            for outcome, reason in why.items()
        ],
    )


def _used() -> Schema:
    """Return the schema of what a clip used: frames ``[first, end)`` of its source, from its zero on, at ``fps``."""
    frames = _object({"first": COUNT, "end": AT_LEAST_ONE})
    return _object(
        {
            "method": {"enum": [str(Method.REMOTE), str(Method.LOCAL)]},
            "location": TEXT,
            "fps": _or_null(RATE),
            "start_timecode": _or_null(TIMECODE),
            "frames": _or_null(frames),
        },
        allOf=[_when("fps", None, {"frames": NULL})],
    )


def _clip() -> Schema:
    return _object(
        {
            "clip_task_id": TEXT,
            "id": ID,
            "index": COUNT,
            "video_id": ID,
            "label": TEXT_OR_NULL,
            "source": TEXT,
            "start": SECONDS,
            "end": SECONDS,
            "status": _one_of(Status),
            "cached": {"type": "boolean"},
            "fallback_reason": _or_null(_one_of(Reason)),
            "parallel_slot": _or_null(COUNT),
            "duration_ms": COUNT,
            "frames": AT_LEAST_ONE,
            "start_frame": COUNT,
            "picture_hash": _or_null(_hex(32)),
            "sound_hash": _or_null(_hex(32)),
            "copied_frames": COUNT,
            "why_encoded": _or_null(_one_of(Why)),
            "used": _or_null(_used()),
            "attempts": {"type": "array", "items": _attempt()},
        },
        allOf=[
            _when("cached", True, {"parallel_slot": NULL}),
            *(
                _when("status", str(status), {"used": {"type": "object"} if is_shown else NULL})
                for status, is_shown in _SHOWS_A_SOURCE.items()
            ),
            _when("status", str(Status.SUCCESS), {"fallback_reason": NULL}),
            *(
                _when("status", str(status), {"fallback_reason": _one_of(Reason)})
                for status in (Status.FALLBACK_LOCAL, Status.FALLBACK_PLACEHOLDER)
            ),
        ],
    )


def _hashed(schema: Schema) -> Schema:
    """Return the schema of clips that all have hashes, or none of them."""
    return {"items": {"properties": {"picture_hash": schema, "sound_hash": schema}}}


def _output() -> Schema:
    return _object(
        {
            "path": TEXT,
            "bytes": AT_LEAST_ONE,
            "frames": AT_LEAST_ONE,
            "duration_s": SECONDS,
            "fps": RATE,
            "sample_rate": AT_LEAST_ONE,
        }
    )


def _ends() -> list[Schema]:
    """Return what each status says of exit code, error, output and totals."""
    rules = []
    for status, codes in _ENDS.items():
        then: Schema = {"exit_code": {"enum": codes}, "error": TEXT, "output": NULL, "clips": _hashed(NULL)}
        if status in (RenderStatus.COMPLETE, RenderStatus.DEGRADED):
            placeholders = NONE if status is RenderStatus.COMPLETE else AT_LEAST_ONE
            stats = {"placeholder_tasks": placeholders, "failed_tasks": NONE, "cancelled_tasks": NONE}
            then |= {"error": NULL, "output": {"type": "object"}, "clip_stats": {"properties": stats}}
            then |= {"clips": _hashed({"type": "string"})}
        rules.append(_when("status", str(status), then))
    return rules


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a version 1 report: every key is there, and no other.

    What no schema can say: the five counts add up to ``total_tasks``, clips are in timeline order, their slots tile
    the output.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clipcut report, version 1",
        **_object(
            {
                "version": {"const": 1, "type": "integer"},
                "clipcut": TEXT,
                "ffmpeg": _or_null(TEXT),
                "av": TEXT,
                "trace_id": _hex(32),
                "job": TEXT,
                "status": _one_of(RenderStatus),
                "exit_code": {"enum": sorted(code for codes in _ENDS.values() for code in codes)},
                "error": _or_null(TEXT),
                "started_at": MOMENT,
                "elapsed_ms": COUNT,
                "timeline": _object({"path": TEXT, "sha256": _hex(64)}),
                "output": _or_null(_output()),
                "config": _config(),
                "clip_stats": _clip_stats(),
                "clips": {"type": "array", "items": _clip(), "minItems": 1},
            },
            allOf=_ends(),
        ),
    }
