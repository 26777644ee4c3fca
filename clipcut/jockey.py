"""The list of clips that the TwelveLabs Jockey recipe "assemble highlight reels" writes, read as a timeline.

::

    {"assembly_title": "…", "total_estimated_duration": "1:52", "assembly_notes": "…",
     "clips": [{"video_reference": "…", "start_time": "00:01:22", "end_time": "00:01:45",
                "description": "…", "relevance_reason": "…"}, …]}

or the bare list of such clips. A language model wrote it: what isn't needed may be missing or be anything, and keys
that nobody knows are no mistakes. What is needed is read as strictly as a timeline, in the same words.
"""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import attrs

from clipcut.errors import Mistake, TimelineError
from clipcut.jsonio import JsonObject, clips_problem, expect_object
from clipcut.scalars import FILLED, ID_PATTERN, SECONDS
from clipcut.timeline import Clip, Output, Source, Timeline, TwelveLabs, clip_mistakes, named_clips

_ID = re.compile(ID_PATTERN, re.ASCII)
_ID_LENGTH = 64
_ONE_DIGIT_MINUTE = re.compile(r"([0-9]{1,6}):([0-9]):([0-5][0-9](?:\.[0-9]{1,12})?)")


def is_jockey_list(document: object, *, is_expected: bool = False) -> bool:
    """Tell whether a parsed document is a Jockey list: it has no version, but clips with a ``video_reference``.

    Args:
        document: What ``parse_document`` returned.
        is_expected: Whether the user says that it is one. Then anything that doesn't look like a timeline is one,
            so that its mistakes are told as a Jockey list's.
    """
    if isinstance(document, dict) and "version" in document:
        return False
    clips = document.get("clips") if isinstance(document, dict) else document
    has_references = isinstance(clips, list) and any(
        isinstance(clip, dict) and "video_reference" in clip for clip in clips
    )
    return has_references or (is_expected and isinstance(document, dict | list) and "sources" not in document)


def _read_time(value: object) -> Fraction:
    """Read seconds, any timecode that timelines take, and one whose minutes have one digit after an hour (1:2:03)."""
    if isinstance(value, str) and (match := _ONE_DIGIT_MINUTE.fullmatch(value)) is not None:
        value = f"{match[1]}:0{match[2]}:{match[3]}"
    return SECONDS.read(value)  # type: ignore[no-any-return]


def _label(description: object) -> str | None:
    """Return a description as one printable line; None if it says nothing."""
    if not isinstance(description, str):
        return None
    return "".join(char if char.isprintable() else " " for char in description).strip() or None


def source_names(references: Iterable[str]) -> dict[str, str]:
    """Name the source of each different reference, in the order of their first clips.

    A reference that can be a ``video_id`` is its own name. From another each run of characters that a name can't
    have becomes ``-``, the begin and end lose what isn't a letter or digit, at most 64 characters stay, and ``video``
    stands for nothing at all. Where that name is another's, ``-2`` is added, or the next number that is free.
    """
    names: dict[str, str] = {text: text if _ID.fullmatch(text) else "" for text in references}
    taken = {name for name in names.values() if name}
    counts: dict[str, int] = {}
    for reference, own in names.items():
        if own:
            continue
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", reference).strip("._-")[:_ID_LENGTH] or "video"
        name = plain
        while name in taken:
            counts[plain] = counts.get(plain, 1) + 1
            ending = f"-{counts[plain]}"
            name = plain[: _ID_LENGTH - len(ending)] + ending
        taken.add(name)
        names[reference] = name
    return names


@attrs.frozen
class _ReadClip:
    """A clip without mistakes: the video that it refers to, and itself, whose ``video_id`` isn't known yet."""

    reference: str
    clip: Clip


class _Reader:
    """Reads a list clip by clip, so that one mistake doesn't hide another."""

    def __init__(self, fps: Fraction) -> None:
        self.mistakes: list[Mistake] = []
        self._fps = fps

    def index_id(self, value: str | None) -> str:
        """Note an index that isn't there or can't be one."""
        if not value:
            what = "is a Jockey list; say which TwelveLabs index its videos are in: --index-id ID"
            self.mistakes.append(Mistake("$", what))
            return ""
        try:
            FILLED.read(value)
        except ValueError as exc:
            self.mistakes.append(Mistake("--index-id", str(exc)))
        return value

    def clips(self, document: Any) -> list[_ReadClip]:
        """Read every clip; those with mistakes are left out."""
        value, where = document, "$"
        if isinstance(document, JsonObject):
            value, where = document.get("clips"), "$.clips"
            self._repeated(document, ("clips",), "$")
            if "clips" not in document:
                self.mistakes.append(Mistake(where, "is missing"))
                return []
        if (problem := clips_problem(value)) is not None:
            self.mistakes.append(Mistake(where, problem))
            return []
        clips = (self._clip(index, item, f"{where}[{index}]") for index, item in enumerate(value))
        return [clip for clip in clips if clip is not None]

    def _clip(self, index: int, item: object, where: str) -> _ReadClip | None:
        try:
            fields = expect_object(item)
        except ValueError as exc:
            self.mistakes.append(Mistake(where, str(exc)))
            return None
        self._repeated(fields, ("video_reference", "start_time", "end_time"), where)
        reference: str | None = self._field(fields, "video_reference", FILLED.read, where)
        start = self._field(fields, "start_time", _read_time, where)
        end = self._field(fields, "end_time", _read_time, where)
        if start is None or end is None:
            return None
        clip = Clip(video_id="", start=start, end=end, label=_label(fields.get("description")))
        for mistake in clip_mistakes(index, clip, None, self._fps):
            place = f"{where}.end_time" if mistake.where.endswith(".end") else where
            self.mistakes.append(Mistake(place, mistake.what))
        return _ReadClip(reference, clip) if reference is not None else None

    def _field(self, fields: JsonObject, key: str, read: Callable[[object], Any], where: str) -> Any:
        """Return what a field holds; None if it can't be used, which is noted."""
        if key not in fields:
            self.mistakes.append(Mistake(f"{where}.{key}", "is missing"))
            return None
        try:
            return read(fields[key])
        except ValueError as exc:
            self.mistakes.append(Mistake(f"{where}.{key}", str(exc)))
            return None

    def _repeated(self, fields: JsonObject, keys: Iterable[str], where: str) -> None:
        """Note each of these keys that stands twice; twice any other does no harm."""
        for key in keys:
            if key in fields.repeated:
                self.mistakes.append(Mistake(f"{where}.{key}", "stands twice in one object; keep one"))


def structure_jockey_list(document: object, name: str, index_id: str | None) -> Timeline:
    """Turn a parsed Jockey list into a checked Timeline, its output at the defaults.

    Args:
        document: What ``parse_document`` returned, of which ``is_jockey_list`` holds.
        name: What the user calls the document, for the message.
        index_id: The TwelveLabs index of its videos.

    Raises:
        TimelineError: With every mistake, each at its path in the list as it is written.
    """
    output = Output()
    reader = _Reader(output.fps)
    index = reader.index_id(index_id)
    found = reader.clips(document)
    if reader.mistakes:
        raise TimelineError(f"{name} can't be used:", reader.mistakes)
    names = source_names(clip.reference for clip in found)
    return Timeline(
        output=output,
        sources={
            video_id: Source(twelvelabs=TwelveLabs(index_id=index, video_id=reference))
            for reference, video_id in names.items()
        },
        clips=named_clips([attrs.evolve(read.clip, video_id=names[read.reference]) for read in found]),
    )
