"""JSON to model: one cattrs converter, every mistake with its JSON path; and the model back to JSON."""

import json
import re
import typing
from collections import abc
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import cattrs
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError, IterableValidationNote

from clipcut.errors import Guesses, Mistake, TimelineError, child_path
from clipcut.scalars import ID_PATTERN, Number, Scalar, choice, show
from clipcut.timebase import MAX_SECONDS
from clipcut.timeline import (
    Clip,
    Output,
    Soundtrack,
    Source,
    Timeline,
    clip_mistakes,
    id_mistakes,
    named_clips,
    source_mistakes,
)

MAX_BYTES = 64 * 1024 * 1024
MAX_CLIPS = 100_000
MAX_DEPTH = 16
TOP_LEVEL = ("version", "output", "sources", "soundtrack", "clips")
ID_RULE = "write 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
_T = typing.TypeVar("_T")


class JsonObject(dict[str, Any]):
    """A JSON object that remembers the keys that stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        self.repeated = {key: None for key, _ in pairs if key in seen or seen.add(key)}  # type: ignore[func-returns-value]


def _refuse_constant(text: str) -> Number:
    return Number(text)  # NaN and the infinities become mistakes where they stand, like any bad number


def _is_deep(document: object) -> bool:
    """Tell whether a document is nested deeper than any timeline; without recursion, whatever it holds."""
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return bool(level)


def parse_document(data: bytes, name: str) -> object:
    """Parse JSON without losing a digit: numbers that aren't short whole ones stay text (``Number``).

    Raises:
        TimelineError: It isn't JSON; says where.
    """
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES // 2**20} MiB")
        document = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=JsonObject,
            parse_float=Number,
            parse_int=lambda text: int(text) if len(text) <= 18 else Number(text),
            parse_constant=_refuse_constant,
        )
        if _is_deep(document):
            raise RecursionError
        return document  # noqa: TRY300
    except json.JSONDecodeError as exc:
        what = f"is not JSON: {_say_where(exc)}"
    except UnicodeDecodeError as exc:
        what = f"is not UTF-8 text: byte {exc.start} can't be read"
    except RecursionError:
        what = "is nested too deeply for a timeline"
    except ValueError as exc:
        what = str(exc)
    raise TimelineError(f"{name} can't be used:", [Mistake("$", what)])


def _say_where(exc: json.JSONDecodeError) -> str:
    """Say what is no JSON, alike on each Python: before 3.13 it tells a comma before the end by what comes after."""
    before = exc.doc[: exc.pos].rstrip(" \t\r\n")
    closing = {"}": "object", "]": "array"}.get(exc.doc[exc.pos : exc.pos + 1])
    if closing is not None and before.endswith(","):
        exc = json.JSONDecodeError(f"Illegal trailing comma before end of {closing}", exc.doc, len(before) - 1)
    return f"{exc.msg}, line {exc.lineno}, column {exc.colno}"


def scalar_of(kind: object) -> Scalar | None:
    """Return the ``Scalar`` of an annotated kind; None if it has none."""
    return next((extra for extra in getattr(kind, "__metadata__", ()) if isinstance(extra, Scalar)), None)


def expect_object(value: object) -> JsonObject:
    """Return a value that is an object.

    Raises:
        ValueError: It isn't.
    """
    if not isinstance(value, JsonObject):
        raise ValueError(f"{show(value)} is not an object; write {{...}}")  # noqa: TRY004  the reader collects these
    return value


def clips_problem(value: object) -> str | None:
    """Return why a value can't be the list of clips; None if it can."""
    if not isinstance(value, list) or not value:
        return f"{show(value)} is not a list of clips; write [{{...}}, ...], at least one"
    if len(value) > MAX_CLIPS:
        return f"{len(value)} clips are more than {MAX_CLIPS}; split the timeline"
    return None


def is_mapping(kind: Any) -> bool:
    """Tell whether a kind is an object with keys of the user's own."""
    origin: object = typing.get_origin(kind)
    return origin is abc.Mapping


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)

    def scalar_hook(kind: Any) -> Callable[[object, Any], Any]:
        scalar = typing.cast("Scalar", scalar_of(kind))
        return lambda value, _: scalar.read(value)

    def class_hook(kind: Any) -> Callable[[object, Any], Any]:
        structure = cattrs.gen.make_dict_structure_fn(kind, converter)
        return lambda value, kind: structure(expect_object(value), kind)

    def mapping_hook(kind: Any) -> Callable[[object, Any], Any]:
        structure = cattrs.gen.mapping_structure_factory(kind, converter)
        return lambda value, kind: structure(expect_object(value), kind)

    converter.register_structure_hook_factory(attrs.has, class_hook)
    converter.register_structure_hook_factory(is_mapping, mapping_hook)
    converter.register_structure_hook_factory(lambda kind: scalar_of(kind) is not None, scalar_hook)
    return converter


def _leaf_mistakes(error: BaseException, path: str, guesses: Guesses) -> Iterator[Mistake]:
    """Turn one leaf of cattrs' error tree into words."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields):
            yield Mistake(child_path(path, key), f"unknown key{guesses.nearest(key, known)}")
    elif isinstance(error, KeyError):
        yield Mistake(path, "is missing")
    else:
        yield Mistake(path, str(error))


def _walk(error: BaseException, path: str, guesses: Guesses) -> Iterator[Mistake]:
    """Flatten cattrs' tree of errors into mistakes with their JSON paths."""
    if not isinstance(error, BaseExceptionGroup):
        yield from _leaf_mistakes(error, path, guesses)
        return
    for child in error.exceptions:
        where = path
        for note in getattr(child, "__notes__", ()):
            if isinstance(note, AttributeValidationNote):
                where = child_path(path, note.name)
            elif isinstance(note, IterableValidationNote):
                where = child_path(path, note.index)
        yield from _walk(child, where, guesses)


class _Reader:
    """Structures a document piece by piece, so that one bad piece does not hide the mistakes of the others."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.guesses = Guesses()
        self._converter = _make_converter()

    def read(self, value: object, kind: type[_T], path: str) -> _T | None:
        """Structure one piece, or note its mistakes and return None."""
        try:
            return self._converter.structure(value, kind)
        except Exception as exc:
            self.mistakes += _walk(exc, path, self.guesses)
            return None

    def top_level(self, document: JsonObject) -> None:
        """Note keys that are unknown, missing or repeated, and any version but 1."""
        self.repeated_keys(document, "$")
        for key in document:
            if key not in TOP_LEVEL:
                what = f"unknown key{self.guesses.nearest(key, TOP_LEVEL)}"
                self.mistakes.append(Mistake(child_path("$", key), what))
        for key in ("version", "sources", "clips"):
            if key not in document:
                self.mistakes.append(Mistake(f"$.{key}", "is missing"))
        version = document.get("version", 1)
        try:
            choice(1).read(version)
        except ValueError:
            what = f"{show(version)} is a version that this clipcut can't read; write 1"
            self.mistakes.append(Mistake("$.version", what))

    def repeated_keys(self, value: object, path: str) -> None:
        """Note every key that stands twice in one object, however deep."""
        if isinstance(value, JsonObject):
            twice = [child_path(path, key) for key in value.repeated]
            self.mistakes += [Mistake(where, "stands twice in one object; keep one") for where in twice]
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in children:
            self.repeated_keys(item, child_path(path, key))

    def sources(self, value: object) -> dict[str, Source | None] | None:
        """Structure each source by itself; None stands for one with mistakes, or for all of them."""
        if not isinstance(value, JsonObject):
            what = f'{show(value)} is not an object; write {{"NAME": {{...}}, ...}}'
            self.mistakes.append(Mistake("$.sources", what))
            return None
        found: dict[str, Source | None] = {}
        for video_id, item in value.items():
            where = child_path("$.sources", video_id)
            if not re.fullmatch(ID_PATTERN, video_id, re.ASCII):
                self.mistakes.append(Mistake(where, f"{show(video_id)} can't be a video_id; {ID_RULE}"))
            found[video_id] = self.read(item, Source, where)
            if (source := found[video_id]) is not None:
                self.mistakes += source_mistakes(video_id, source)
        return found

    def clips(self, value: Any) -> "list[_ReadClip]":
        """Structure each clip by itself."""
        if (problem := clips_problem(value)) is not None:
            self.mistakes.append(Mistake("$.clips", problem))
            return []
        return [self.clip(item, f"$.clips[{index}]") for index, item in enumerate(value)]

    def clip(self, item: object, where: str) -> "_ReadClip":
        """Structure one clip; one with mistakes keeps its good fields, so that what is wrong between them shows too."""
        before = len(self.mistakes)
        clip = self.read(item, Clip, where)
        if clip is not None or not isinstance(item, JsonObject):
            return _ReadClip(clip)
        bad = {mistake.where.removeprefix(f"{where}.") for mistake in self.mistakes[before:]}
        known = {field.name for field in attrs.fields(Clip)} - bad
        kept = {key: value for key, value in item.items() if key in known}
        if "video_id" in bad:
            kept["video_id"] = "unreadable"
        if bad & {"start", "end", "duration"}:  # nothing can be said of its length, only of which fields it has
            kept["start"] = 0
            kept |= {key: MAX_SECONDS for key in ("end", "duration") if item.get(key) is not None}
        return _ReadClip(self._converter.structure(JsonObject(list(kept.items())), Clip), frozenset(bad))


@attrs.frozen
class _ReadClip:
    """A clip as far as it could be read, with the names of the fields that could not; None if it is no object."""

    clip: Clip | None
    bad: frozenset[str] = frozenset()


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
    if not isinstance(document, JsonObject):
        what = f"{show(document)} is not an object; a timeline begins with {{"
        raise TimelineError(f"{name} can't be used:", [Mistake("$", what)])
    reader.top_level(document)
    output = reader.read(document.get("output", JsonObject([])), Output, "$.output")
    has_soundtrack = document.get("soundtrack") is not None
    soundtrack = reader.read(document["soundtrack"], Soundtrack, "$.soundtrack") if has_soundtrack else None
    sources = reader.sources(document["sources"]) if "sources" in document else None
    clips = reader.clips(document["clips"]) if "clips" in document else []
    fps = output.fps if output is not None else None
    for index, (clip, bad) in enumerate((read.clip, read.bad) for read in clips):
        if clip is not None:
            known = None if "video_id" in bad else sources
            reader.mistakes += clip_mistakes(index, clip, known, fps, reader.guesses)
    reader.mistakes += id_mistakes([None if "id" in read.bad else read.clip for read in clips])
    if reader.mistakes or output is None or sources is None:
        raise TimelineError(f"{name} can't be used:", sorted(reader.mistakes, key=_document_order))
    return Timeline(
        output=output,
        soundtrack=soundtrack,
        sources={video_id: source for video_id, source in sources.items() if source is not None},
        clips=named_clips([read.clip for read in clips if read.clip is not None]),
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
