"""JSON to model: one cattrs converter, every mistake with its JSON path; and the JSON Schema of the same model."""

import json
import re
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote

from clipcut.errors import Mistake, TimelineError, nearest
from clipcut.scalars import ID_PATTERN, Number, Scalar, choice, show
from clipcut.timebase import MAX_SECONDS
from clipcut.timeline import (
    Clip,
    Output,
    Source,
    Timeline,
    clip_mistakes,
    id_mistakes,
    named_clips,
    source_mistakes,
)

MAX_BYTES = 64 * 1024 * 1024
MAX_CLIPS = 100_000
TOP_LEVEL = ("version", "output", "sources", "clips")
ID_RULE = "write 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
_T = typing.TypeVar("_T")


class _Object(dict[str, Any]):
    """A JSON object that remembers the keys that stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]


def _refuse_constant(text: str) -> Number:
    return Number(text)  # NaN and the infinities become mistakes where they stand, like any bad number


def parse_document(data: bytes, name: str) -> object:
    """Parse JSON without losing a digit: numbers that aren't short whole ones stay text (``Number``).

    Raises:
        TimelineError: It isn't JSON; says where.
    """
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES // 2**20} MiB")
        return json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=_Object,
            parse_float=Number,
            parse_int=lambda text: int(text) if len(text) <= 18 else Number(text),
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as exc:
        what = f"is not JSON: {exc.msg}, line {exc.lineno}, column {exc.colno}"
    except UnicodeDecodeError as exc:
        what = f"is not UTF-8 text: byte {exc.start} can't be read"
    except RecursionError:
        what = "is nested too deeply for a timeline"
    except ValueError as exc:
        what = str(exc)
    raise TimelineError(f"{name} can't be used:", [Mistake("$", what)])


def _scalar_of(kind: object) -> Scalar | None:
    return next((extra for extra in getattr(kind, "__metadata__", ()) if isinstance(extra, Scalar)), None)


def _optional_of(kind: object) -> Any:
    """Return what stands beside ``None`` in ``X | None``, else None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        rest = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return rest[0] if len(rest) == 1 else None
    return None


def _expect_object(value: object) -> _Object:
    if not isinstance(value, _Object):
        raise ValueError(f"{show(value)} is not an object; write {{...}}")  # noqa: TRY004  the reader collects these
    return value


def _is_mapping(kind: Any) -> bool:
    origin: object = typing.get_origin(kind)
    return origin is abc.Mapping


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    def scalar_hook(kind: Any) -> Callable[[object, Any], Any]:
        scalar = typing.cast("Scalar", _scalar_of(kind))
        return lambda value, _: scalar.read(value)

    def class_hook(kind: Any) -> Callable[[object, Any], Any]:
        structure = cattrs.gen.make_dict_structure_fn(kind, converter)
        return lambda value, kind: structure(_expect_object(value), kind)

    def mapping_hook(kind: Any) -> Callable[[object, Any], Any]:
        structure = cattrs.gen.mapping_structure_factory(kind, converter)
        return lambda value, kind: structure(_expect_object(value), kind)

    converter.register_structure_hook_factory(attrs.has, class_hook)
    converter.register_structure_hook_factory(_is_mapping, mapping_hook)
    converter.register_structure_hook_factory(lambda kind: _scalar_of(kind) is not None, scalar_hook)
    return converter


def _leaf_mistakes(error: BaseException, path: str) -> Iterator[Mistake]:
    """Turn one leaf of cattrs' error tree into words."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields):
            yield Mistake(f"{path}.{key}", f"unknown key{nearest(key, known)}")
    elif isinstance(error, KeyError):
        yield Mistake(path, "is missing")
    else:
        yield Mistake(path, str(error))


def _walk(error: BaseException, path: str) -> Iterator[Mistake]:
    """Flatten cattrs' tree of errors into mistakes with their JSON paths."""
    if not isinstance(error, BaseExceptionGroup):
        yield from _leaf_mistakes(error, path)
        return
    for child in error.exceptions:
        step = ""
        for note in getattr(child, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                step = f".{note.name}"
            elif isinstance(note, IterableValidationNote):
                step = f"[{note.index}]" if isinstance(note.index, int) else f".{note.index}"
        yield from _walk(child, path + step)


class _Reader:
    """Structures a document piece by piece, so that one bad piece does not hide the mistakes of the others."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self._converter = _make_converter()

    def read(self, value: object, kind: type[_T], path: str) -> _T | None:
        """Structure one piece, or note its mistakes and return None."""
        try:
            return self._converter.structure(value, kind)
        except Exception as exc:
            self.mistakes += _walk(exc, path)
            return None

    def version(self, value: object) -> None:
        """Note any version but 1."""
        try:
            choice(1).read(value)
        except ValueError:
            self.mistakes.append(
                Mistake("$.version", f"{show(value)} is a version that this clipcut can't read; write 1")
            )

    def repeated_keys(self, value: object, path: str) -> None:
        """Note every key that stands twice in one object, however deep."""
        if isinstance(value, _Object):
            self.mistakes += [
                Mistake(f"{path}.{key}", "stands twice in one object; keep one") for key in value.repeated
            ]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in children:
            self.repeated_keys(item, f"{path}.{key}" if isinstance(key, str) else f"{path}[{key}]")

    def sources(self, value: object) -> dict[str, Source | None]:
        """Structure each source by itself; None stands for one with mistakes."""
        if not isinstance(value, _Object):
            self.mistakes.append(
                Mistake("$.sources", f'{show(value)} is not an object; write {{"NAME": {{...}}, ...}}')
            )
            return {}
        found: dict[str, Source | None] = {}
        for video_id, item in value.items():
            if not re.fullmatch(ID_PATTERN, video_id, re.ASCII):
                self.mistakes.append(
                    Mistake(f"$.sources.{video_id}", f"{show(video_id)} can't be a video_id; {ID_RULE}")
                )
            found[video_id] = self.read(item, Source, f"$.sources.{video_id}")
            if (source := found[video_id]) is not None:
                self.mistakes += source_mistakes(video_id, source)
        return found

    def clips(self, value: object, video_ids: Iterable[str]) -> list[Clip | None]:
        """Structure each clip by itself; None stands for one that is beyond reading."""
        if not isinstance(value, list) or not value:
            self.mistakes.append(
                Mistake("$.clips", f"{show(value)} is not a list of clips; write [{{...}}, ...], at least one")
            )
            return []
        if len(value) > MAX_CLIPS:
            self.mistakes.append(
                Mistake("$.clips", f"{len(value)} clips are more than {MAX_CLIPS}; split the timeline")
            )
            return []
        return [self.clip(item, f"$.clips[{index}]", video_ids) for index, item in enumerate(value)]

    def clip(self, item: object, where: str, video_ids: Iterable[str]) -> Clip | None:
        """Structure one clip; one with mistakes keeps its good fields, so that what is wrong between them shows too."""
        before = len(self.mistakes)
        clip = self.read(item, Clip, where)
        if clip is not None or not isinstance(item, _Object):
            return clip
        bad = {mistake.where.removeprefix(f"{where}.") for mistake in self.mistakes[before:]}
        stand_ins = {"start": 0, "end": MAX_SECONDS, "duration": MAX_SECONDS, "video_id": next(iter(video_ids), "-")}
        kept = {key: value for key, value in item.items() if key not in bad}
        kept |= {key: value for key, value in stand_ins.items() if key in bad}
        return self._converter.structure(_Object(list(kept.items())), Clip) if kept["video_id"] != "-" else None


def _document_order(mistake: Mistake) -> tuple[int, int]:
    """Sort by top-level field, then by clip; what is equal keeps the order it was found in."""
    top, index = typing.cast("re.Match[str]", re.match(r"\$\.?(\w*)(?:\[(\d+)\])?", mistake.where)).groups()
    return (TOP_LEVEL.index(top) if top in TOP_LEVEL else -1, int(index or 0))


def structure_timeline(document: object, name: str) -> Timeline:
    """Turn a parsed document into a checked Timeline.

    Args:
        document: What ``parse_document`` returned.
        name: What the user calls the document, for the message.

    Raises:
        TimelineError: With every mistake, in document order as far as the pieces allow.
    """
    reader = _Reader()
    if not isinstance(document, _Object):
        what = f"{show(document)} is not an object; a timeline begins with {{"
        raise TimelineError(f"{name} can't be used:", [Mistake("$", what)])
    reader.repeated_keys(document, "$")
    unknown = [key for key in document if key not in TOP_LEVEL]
    reader.mistakes += [Mistake(f"$.{key}", f"unknown key{nearest(key, TOP_LEVEL)}") for key in unknown]
    missing = [key for key in ("version", "sources", "clips") if key not in document]
    reader.mistakes += [Mistake(f"$.{key}", "is missing") for key in missing]
    reader.version(document.get("version", 1))
    output = reader.read(document.get("output", _Object([])), Output, "$.output")
    sources = reader.sources(document["sources"]) if "sources" in document else None
    clips = reader.clips(document["clips"], sources or ()) if "clips" in document else []
    fps = output.fps if output is not None else None
    for index, clip in enumerate(clips):
        if clip is not None:
            reader.mistakes += clip_mistakes(index, clip, sources, fps)
    reader.mistakes += id_mistakes(clips)
    if reader.mistakes or output is None or sources is None:
        raise TimelineError(f"{name} can't be used:", sorted(reader.mistakes, key=_document_order))
    return Timeline(
        output=output,
        sources={video_id: source for video_id, source in sources.items() if source is not None},
        clips=named_clips([clip for clip in clips if clip is not None]),
    )


def load_timeline(data: bytes, name: str = "the timeline") -> Timeline:
    """Read a version 1 timeline.

    Args:
        data: The document, UTF-8 JSON.
        name: What the user calls it, for messages.

    Raises:
        TimelineError: With every mistake that it has, each with its JSON path and what to write instead.
    """
    return structure_timeline(parse_document(data, name), name)


def _schema_of(kind: Any) -> dict[str, Any]:
    if (scalar := _scalar_of(kind)) is not None:
        return dict(scalar.schema)
    if (inner := _optional_of(kind)) is not None:
        return {"anyOf": [_schema_of(inner), {"type": "null"}]}
    if _is_mapping(kind):
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
            "clips": {"type": "array", "items": clip, "minItems": 1, "maxItems": MAX_CLIPS},
        },
        "required": ["version", "sources", "clips"],
        "additionalProperties": False,
    }
