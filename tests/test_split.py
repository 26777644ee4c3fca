"""Clips that cross from one run of timestamps to the next: the parts are together what the whole would have been."""

import bisect
import itertools
from collections.abc import Sequence
from fractions import Fraction

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rates

from clipcut.plan import Edit, Method, Rung, Slot
from clipcut.sources.segments.split import split
from clipcut.timebase import frame_boundaries, sample_at
from clipcut.timeline import AudioProfile, Clip, Output

HALF = Fraction(1, 2)
NTSC = Fraction(30000, 1001)
Parts = list[tuple[int, Edit]]


def make_edit(output: Output, start: Fraction, length: Fraction, lead: Fraction = Fraction(0)) -> Edit:
    """A clip of a length, in its slot after others that are ``lead`` seconds together."""
    first, end = frame_boundaries([lead, length], output.fps)[1:]
    begins, ends = (sample_at(frame, output.fps, output.audio.sample_rate) for frame in (first, end))
    return Edit(
        index=3,
        clip=Clip(id="c", video_id="v", start=start, end=start + length, gain_db=Fraction(-6), label="x"),
        slot=Slot(start_frame=first, frames=end - first, start_sample=begins, samples=ends - begins),
        ladder=(Rung(Method.REMOTE, "https://cdn.example/v.m3u8"), Rung(Method.PLACEHOLDER)),
    )


def middle(edit: Edit, frame: int, fps: Fraction) -> Fraction:
    """When, in source time, the source is shown by a frame of an edit's slot: the contract's rule."""
    return edit.clip.start + (frame + HALF) / fps


@attrs.frozen
class Case:
    """An edit, and what it is split by."""

    edit: Edit
    begins: Sequence[Fraction]
    output: Output

    def parts(self) -> Parts:
        """Split it."""
        return split(self.edit, self.begins, self.output)

    def runs(self) -> list[int]:
        """The run of each of its frames, found one by one."""
        moments = (middle(self.edit, frame, self.output.fps) for frame in range(self.edit.slot.frames))
        return [max(0, bisect.bisect_right(self.begins, moment) - 1) for moment in moments]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any rate, clip and slot; runs that begin at any time: before, after, together, on frames and their middles."""
    output = Output(fps=draw(rates()), audio=AudioProfile(sample_rate=draw(st.sampled_from([11025, 44100, 48000]))))
    seconds = st.integers(0, 2000).map(lambda ms: Fraction(ms, 1000))
    length = Fraction(draw(st.integers(100, 1200)), 100) / output.fps
    edit = make_edit(output, draw(seconds), length, draw(seconds))
    halves = st.integers(-3, 2 * edit.slot.frames + 3).map(lambda half: edit.clip.start + half * HALF / output.fps)
    near = st.integers(0, 1200).map(lambda part: edit.clip.start + Fraction(part, 100) / output.fps)
    begins = draw(st.lists(halves | near | seconds, max_size=6))
    return Case(edit, [Fraction(0), *sorted(begin for begin in begins if begin >= 0)], output)


@given(case=cases())
def test_split_gives_each_frame_to_its_run(case: Case) -> None:
    """Every frame is in the part of the run that its middle lies in, and shows what it showed before."""
    fps = case.output.fps
    shown = [
        (run, middle(part, frame, fps), part.slot.start_frame + frame)
        for run, part in case.parts()
        for frame in range(part.slot.frames)
    ]

    edit, first = case.edit, case.edit.slot.start_frame
    assert [(run, middle(edit, frame, fps), first + frame) for frame, run in enumerate(case.runs())] == shown


@given(case=cases())
def test_split_tiles_the_slot(case: Case) -> None:
    """Frames, samples and durations of the parts follow one another, from the slot's begin to its end."""
    parts, whole = [part for _, part in case.parts()], case.edit
    slots = [part.slot for part in parts]

    for one, other in itertools.pairwise(slots):
        assert other.start_frame == one.start_frame + one.frames
        assert other.start_sample == one.start_sample + one.samples
    for before, after in itertools.pairwise(parts):
        assert after.clip.start == before.clip.start + before.clip.length
    assert (whole.slot.start_frame, whole.slot.start_sample) == (slots[0].start_frame, slots[0].start_sample)
    assert whole.slot.frames == sum(slot.frames for slot in slots)
    assert whole.slot.samples == sum(slot.samples for slot in slots)
    assert (whole.clip.start, whole.clip.length) == (parts[0].clip.start, sum(part.clip.length for part in parts))


@given(case=cases())
def test_split_keeps_samples_with_frames(case: Case) -> None:
    """A part's sound begins where its first frame does on the output's grid, so that nothing drifts."""
    fps, rate = case.output.fps, case.output.audio.sample_rate

    for _, part in case.parts():
        assert sample_at(part.slot.start_frame, fps, rate) == part.slot.start_sample
        assert part.clip.length > 0


@given(case=cases())
def test_split_keeps_the_rest(case: Case) -> None:
    """Parts are numbered, and all else is the clip's own."""
    parts = [part for _, part in case.parts()]
    edit = case.edit

    for number, part in enumerate(parts):
        assert number == part.part
        assert [part.clip.end, part.clip.duration].count(None) == 1
        clip = attrs.evolve(part.clip, start=edit.clip.start, end=edit.clip.end, duration=None)
        assert edit == attrs.evolve(part, clip=clip, slot=edit.slot, part=0)
    assert len(parts) == len({part.stem for part in parts})


@given(case=cases())
def test_split_leaves_an_edit_within_one_run_alone(case: Case) -> None:
    """It is given back as it is, with that run's number."""
    if len(runs := set(case.runs())) == 1:
        assert [(runs.pop(), case.edit)] == case.parts()


@pytest.mark.parametrize(
    ("fps", "start", "length", "begins", "found"),
    [
        pytest.param(Fraction(25), "1", "2", ["0"], [(0, 0, 50)], id="one run"),
        pytest.param(Fraction(25), "1", "2", ["0", "2"], [(0, 0, 25), (1, 25, 25)], id="on the grid"),
        pytest.param(Fraction(25), "1", "2", ["0", "2.02"], [(0, 0, 25), (1, 25, 25)], id="on a middle"),
        pytest.param(Fraction(25), "1", "2", ["0", "2.021"], [(0, 0, 26), (1, 26, 24)], id="just after a middle"),
        pytest.param(Fraction(25), "1", "2", ["0", "1"], [(1, 0, 50)], id="at its start"),
        pytest.param(Fraction(25), "1", "2", ["0", "3"], [(0, 0, 50)], id="at its end"),
        pytest.param(Fraction(25), "1", "2", ["0", "2.99"], [(0, 0, 50)], id="after its last middle"),
        pytest.param(Fraction(25), "1", "2", ["0", "2.98"], [(0, 0, 49), (1, 49, 1)], id="at its last middle"),
        pytest.param(
            Fraction(25), "1", "2", ["0", "2.03", "2.05"], [(0, 0, 26), (2, 26, 24)], id="shorter than a frame"
        ),
        pytest.param(
            Fraction(25), "1", "2", ["0", "2.01", "2.03"], [(0, 0, 25), (1, 25, 1), (2, 26, 24)], id="one frame long"
        ),
        pytest.param(Fraction(25), "1", "2", ["0", "0.5", "9"], [(1, 0, 50)], id="runs before and after"),
        pytest.param(Fraction(25), "1", "2", ["4", "5"], [(0, 0, 50)], id="before the first run"),
        pytest.param(NTSC, "0", "1.001", ["0", "0.5"], [(0, 0, 15), (1, 15, 15)], id="NTSC, between frames"),
        pytest.param(NTSC, "0", "1.001", ["0", "0.51718"], [(0, 0, 15), (1, 15, 15)], id="NTSC, before a middle"),
        pytest.param(NTSC, "0", "1.001", ["0", "0.51719"], [(0, 0, 16), (1, 16, 14)], id="NTSC, after a middle"),
        pytest.param(NTSC, "7.3", "0.05", ["0", "7.31"], [(1, 0, 1)], id="NTSC, a single frame"),
    ],
)
def test_split_when(
    fps: Fraction, start: str, length: str, begins: Sequence[str], found: Sequence[tuple[int, int, int]]
) -> None:
    """A frame belongs to the run that has begun by its middle: run, first frame, frames."""
    edit = make_edit(Output(fps=fps), Fraction(start), Fraction(length))

    parts = split(edit, [Fraction(begin) for begin in begins], Output(fps=fps))

    assert found == [(run, part.slot.start_frame, part.slot.frames) for run, part in parts]


def test_split_when_sample_rate_is_odd() -> None:
    """Samples are rounded on the output's grid, not in each part anew."""
    output = Output(fps=NTSC, audio=AudioProfile(sample_rate=44100))
    begins = [Fraction(number, 30) for number in range(5)]

    parts = split(make_edit(output, Fraction(0), Fraction("0.16")), begins, output)

    assert [1471, 1472, 1471, 1472, 1471] == [part.slot.samples for _, part in parts]
