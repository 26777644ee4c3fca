"""Timeline to plan, pure: each clip gets its slot on the output's frame grid and its ladder of rungs."""

import enum
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs

from clipcut.redact import redact_url
from clipcut.timebase import frame_boundaries, sample_at
from clipcut.timeline import Clip, Output, Soundtrack, Source, Timeline, TwelveLabs


class Method(enum.StrEnum):
    """How a rung gets its media."""

    REMOTE = "remote"
    LOCAL = "local"
    PLACEHOLDER = "placeholder"


@attrs.frozen
class Rung:
    """One way to get a clip's media.

    Attributes:
        method: What kind of way.
        location: A URL, ``twelvelabs:INDEX/VIDEO``, an absolute path, or nothing for the placeholder.
        headers: What is sent to the URL's own origin, variables not filled in yet.
        twelvelabs: The TwelveLabs video; None if it is none.
        carries_query: Whether the query of its address goes with every request to its origin.
    """

    method: Method
    location: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    twelvelabs: TwelveLabs | None = None
    carries_query: bool = False


@attrs.frozen(kw_only=True)
class Slot:
    """A clip's place in the output, in timeline time.

    Attributes:
        start_frame: Its first output frame.
        frames: How many output frames it has, at least 1.
        start_sample: Its first output sample.
        samples: How many samples per channel it has.
    """

    start_frame: int
    frames: int
    start_sample: int
    samples: int


@attrs.frozen(kw_only=True)
class Edit:
    """A clip in its slot.

    Attributes:
        index: Its place in the timeline, from 0.
        clip: The clip as written; ``clip.start`` is in source time.
        slot: Its place in the output.
        ladder: The rungs to try, best first; the last is the placeholder.
        is_silent: Whether its sound isn't wanted: it is muted, or a soundtrack replaces it.
        part: Which part of the clip it is, from 0, where a clip is cut in several.
    """

    index: int
    clip: Clip
    slot: Slot
    ladder: tuple[Rung, ...]
    is_silent: bool = False
    part: int = 0

    @property
    def stem(self) -> str:
        """What its working files are called, without their suffixes; different for each part of each clip."""
        return f"{self.index:06}-{self.part}"

    @property
    def name(self) -> str:
        """The clip's id."""
        return self.clip.id or ""


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that a render does, decided before it begins.

    Attributes:
        output: The form of the output.
        edits: The clips in their slots, in timeline order; the slots tile the output.
        soundtrack: The sound of the whole, its path absolute; None if there is none.
    """

    output: Output
    edits: tuple[Edit, ...]
    soundtrack: Soundtrack | None = None

    @property
    def frames(self) -> int:
        """The output's frames."""
        return self.edits[-1].slot.start_frame + self.edits[-1].slot.frames

    @property
    def samples(self) -> int:
        """The output's samples per channel."""
        return self.edits[-1].slot.start_sample + self.edits[-1].slot.samples

    @property
    def seconds(self) -> Fraction:
        """The output's exact duration."""
        return self.frames / self.output.fps


def _local_path(text: str, base: Path) -> str:
    if text.lower().startswith("file:"):
        text = unquote(urlsplit(text).path)
    return str(base / text)  # not normalised: after a link, ".." is somewhere else


def is_remote(url: str) -> bool:
    """Tell whether an address needs the network."""
    return url.lower().startswith(("http://", "https://"))


def build_ladder(source: Source, base: Path) -> tuple[Rung, ...]:
    """Return a source's rungs, best first: remote, then each local copy, then the placeholder.

    Args:
        source: The source as written.
        base: The folder that relative paths start from.
    """
    rungs = []
    if source.twelvelabs is not None:
        location = f"twelvelabs:{source.twelvelabs.index_id}/{source.twelvelabs.video_id}"
        rungs.append(Rung(Method.REMOTE, location, twelvelabs=source.twelvelabs, carries_query=source.carry_query))
    elif source.url is not None and is_remote(source.url):
        rungs.append(Rung(Method.REMOTE, source.url, source.headers or {}, carries_query=source.carry_query))
    elif source.url is not None:
        rungs.append(Rung(Method.LOCAL, _local_path(source.url, base)))
    rungs += [Rung(Method.LOCAL, _local_path(path, base)) for path in source.local or ()]
    return (*rungs, Rung(Method.PLACEHOLDER))


def shown_source(location: str, method: Method) -> str | None:
    """Return a rung's location as people may see it."""
    if method is Method.PLACEHOLDER:
        return None
    return redact_url(location) if "://" in location else location


def needs_network(plan: Plan) -> bool:
    """Tell whether a plan has anything to fetch."""
    return any(rung.method is Method.REMOTE for edit in plan.edits for rung in edit.ladder)


def build_plan(timeline: Timeline, base: Path) -> Plan:
    """Place every clip.

    Args:
        timeline: The checked timeline.
        base: The timeline's folder, absolute; relative paths in it start there.
    """
    output = timeline.output
    boundaries = frame_boundaries((clip.length for clip in timeline.clips), output.fps)
    samples = [sample_at(frame, output.fps, output.audio.sample_rate) for frame in boundaries]
    ladders: Mapping[str, tuple[Rung, ...]] = {
        video_id: build_ladder(source, base) for video_id, source in timeline.sources.items()
    }
    soundtrack = timeline.soundtrack
    if soundtrack is not None:
        soundtrack = attrs.evolve(soundtrack, path=_local_path(soundtrack.path, base))
    edits = tuple(
        Edit(
            index=index,
            clip=clip,
            slot=Slot(
                start_frame=boundaries[index],
                frames=boundaries[index + 1] - boundaries[index],
                start_sample=samples[index],
                samples=samples[index + 1] - samples[index],
            ),
            ladder=ladders[clip.video_id],
            is_silent=clip.mute or (soundtrack is not None and soundtrack.mode == "replace"),
        )
        for index, clip in enumerate(timeline.clips)
    )
    return Plan(output=output, edits=edits, soundtrack=soundtrack)


def launch_order(edits: Sequence[Edit], at_once: int) -> list[Edit]:
    """Return the edits in the order to begin them in: the timeline's, as the join wants them; the last, longest first.

    A long clip that begins last keeps one core busy while the others have nothing left to do.

    Args:
        edits: In timeline order.
        at_once: How many are encoded at once; twice as many, at the end, are put in order.
    """
    head = max(0, len(edits) - 2 * at_once)
    return [*edits[:head], *sorted(edits[head:], key=lambda edit: -edit.slot.frames)]
