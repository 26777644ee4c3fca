"""Proofs of the plan: slots in frames and samples, and each source's ladder of rungs."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import durations, rates, timelines

from clipcut.errors import TimelineError
from clipcut.jsonio import load_timeline
from clipcut.plan import Method, Plan, Rung, Slot, build_ladder, build_plan, is_remote
from clipcut.timeline import AudioProfile, Clip, Output, Source, Timeline, TwelveLabs, named_clips

BASE = Path("/project/cuts")
URL = "https://cdn.example/v1/index.m3u8?token=a%20b"
TWELVELABS = TwelveLabs(index_id="ix", video_id="vid")
PLACEHOLDER = Rung(Method.PLACEHOLDER)


def planned(lengths: list[Fraction], fps: Fraction = Fraction(30), sample_rate: int = 48000) -> Plan:
    """The plan of clips of these lengths, all of one local video."""
    clips = [Clip(video_id="v1", start=Fraction(7), duration=length) for length in lengths]
    output = Output(fps=fps, audio=AudioProfile(sample_rate=sample_rate))
    timeline = Timeline(output=output, sources={"v1": Source(url="v1.mp4")}, clips=named_clips(clips))
    return build_plan(timeline, BASE)


def test_build_plan_when_lengths_are_between_frames() -> None:
    """Boundaries are the rounded running total, and samples follow the frames."""
    plan = planned([Fraction("2.4"), Fraction("0.05"), Fraction("0.05"), Fraction(1)], sample_rate=44100)
    assert [
        Slot(start_frame=0, frames=72, start_sample=0, samples=105_840),
        Slot(start_frame=72, frames=2, start_sample=105_840, samples=2940),
        Slot(start_frame=74, frames=1, start_sample=108_780, samples=1470),
        Slot(start_frame=75, frames=30, start_sample=110_250, samples=44_100),
    ] == [edit.slot for edit in plan.edits]
    assert (105, 154_350, Fraction("3.5")) == (plan.frames, plan.samples, plan.seconds)


def test_build_plan_when_rate_is_ntsc() -> None:
    """A frame of 1601.6 samples: slots of the same frames differ by a sample, and nothing drifts."""
    frame = Fraction(1001, 30000)
    plan = planned([frame] * 5, fps=1 / frame)
    assert [1] * 5 == [edit.slot.frames for edit in plan.edits]
    assert [1602, 1601, 1602, 1601, 1602] == [edit.slot.samples for edit in plan.edits]
    assert 8008 == plan.samples


def test_build_plan_when_clips_have_names() -> None:
    """Edits are in timeline order, each with its own clip as it was written."""
    timeline = Timeline(
        output=Output(),
        sources={"v1": Source(url="v1.mp4"), "v2": Source(local=("v2.mp4",))},
        clips=named_clips(
            [
                Clip(video_id="v2", start=Fraction(9), end=Fraction(10)),
                Clip(id="line-2", video_id="v1", start=Fraction(1), duration=Fraction(2)),
            ]
        ),
    )
    plan = build_plan(timeline, BASE)
    assert timeline.clips == tuple(edit.clip for edit in plan.edits)
    assert [(0, "clip-0001"), (1, "line-2")] == [(edit.index, edit.name) for edit in plan.edits]
    assert ["/project/cuts/v2.mp4", "/project/cuts/v1.mp4"] == [edit.ladder[0].location for edit in plan.edits]
    assert timeline.output == plan.output


@given(st.lists(durations(), min_size=1, max_size=30), rates(), st.sampled_from([8000, 44100, 48000, 96000]))
def test_build_plan_when_any(lengths: list[Fraction], fps: Fraction, sample_rate: int) -> None:
    """Slots tile the output in frames and in samples, and each clip that is a frame long has both."""
    plan = planned([max(length, 1 / fps) for length in lengths], fps, sample_rate)
    frame = sample = 0
    for edit in plan.edits:
        assert (frame, sample) == (edit.slot.start_frame, edit.slot.start_sample)
        assert edit.slot.frames >= 1
        assert edit.slot.samples >= 1
        frame, sample = frame + edit.slot.frames, sample + edit.slot.samples
    assert (frame, sample) == (plan.frames, plan.samples)
    assert frame / fps == plan.seconds
    assert abs(sample - plan.seconds * sample_rate) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("source", "rungs"),
    [
        pytest.param(Source(url=URL), [Rung(Method.REMOTE, URL)], id="url"),
        pytest.param(Source(url="HTTP://x/v1.mp4"), [Rung(Method.REMOTE, "HTTP://x/v1.mp4")], id="upper case"),
        pytest.param(Source(url="media/v1.mp4"), [Rung(Method.LOCAL, "/project/cuts/media/v1.mp4")], id="local url"),
        pytest.param(
            Source(local=("a.mp4", "b.mp4")),
            [Rung(Method.LOCAL, "/project/cuts/a.mp4"), Rung(Method.LOCAL, "/project/cuts/b.mp4")],
            id="local copies in order",
        ),
        pytest.param(
            Source(url=URL, local=("a.mp4",)),
            [Rung(Method.REMOTE, URL), Rung(Method.LOCAL, "/project/cuts/a.mp4")],
            id="url, then a local copy",
        ),
        pytest.param(
            Source(url="a.mp4", local=("b.mp4",)),
            [Rung(Method.LOCAL, "/project/cuts/a.mp4"), Rung(Method.LOCAL, "/project/cuts/b.mp4")],
            id="local url first",
        ),
        pytest.param(
            Source(twelvelabs=TWELVELABS),
            [Rung(Method.REMOTE, "twelvelabs:ix/vid", twelvelabs=TwelveLabs(index_id="ix", video_id="vid"))],
            id="twelvelabs",
        ),
        pytest.param(
            Source(twelvelabs=TWELVELABS, local=("a.mp4",)),
            [
                Rung(Method.REMOTE, "twelvelabs:ix/vid", twelvelabs=TwelveLabs(index_id="ix", video_id="vid")),
                Rung(Method.LOCAL, "/project/cuts/a.mp4"),
            ],
            id="twelvelabs, then a local copy",
        ),
    ],
)
def test_build_ladder_when(source: Source, rungs: list[Rung]) -> None:
    """The remote rung comes first, then local copies as written, then the placeholder."""
    assert (*rungs, PLACEHOLDER) == build_ladder(source, BASE)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("v1.mp4", "/project/cuts/v1.mp4", id="relative"),
        pytest.param("../v1.mp4", "/project/cuts/../v1.mp4", id="above"),
        pytest.param("/media/v1.mp4", "/media/v1.mp4", id="absolute"),
        pytest.param("a b%20c#d?e.mp4", "/project/cuts/a b%20c#d?e.mp4", id="a plain path is not decoded"),
        pytest.param("httpd/v1.mp4", "/project/cuts/httpd/v1.mp4", id="begins like an address"),
        pytest.param("files/v1.mp4", "/project/cuts/files/v1.mp4", id="begins like a file address"),
        pytest.param("file:///media/v1.mp4", "/media/v1.mp4", id="file address"),
        pytest.param("FILE:///media/v1.mp4", "/media/v1.mp4", id="file address, upper case"),
        pytest.param("file://localhost/media/v1.mp4", "/media/v1.mp4", id="file address of this machine"),
        pytest.param("file:///media/a%20b%23%C3%A9%25.mp4", "/media/a b#é%.mp4", id="file address, percent-encoded"),
        pytest.param("file:v1.mp4", "/project/cuts/v1.mp4", id="file address, relative"),
    ],
)
def test_build_ladder_when_path(text: str, path: str) -> None:
    """Paths start from the timeline's folder; file addresses are decoded; both fields read them alike."""
    rungs = (Rung(Method.LOCAL, path), PLACEHOLDER)
    assert rungs == build_ladder(Source(url=text), BASE)
    assert rungs == build_ladder(Source(local=(text,)), BASE)


@given(timelines())
def test_build_plan_when_timeline_is_good(data: dict[str, Any]) -> None:
    """Every good timeline can be planned: each clip has a frame or more, and the placeholder comes last."""
    timeline = load_timeline(json.dumps(data).encode())
    plan = build_plan(timeline, BASE)
    assert timeline.clips == tuple(edit.clip for edit in plan.edits)
    for edit in plan.edits:
        assert edit.slot.frames >= 1
        assert PLACEHOLDER == edit.ladder[-1]
        assert 1 == edit.ladder.count(PLACEHOLDER) < len(edit.ladder)


@given(st.sampled_from(["", "file:", "file://", "http://"]), st.text("[]:/@%?#.0aé", min_size=1, max_size=6))
def test_build_plan_when_address_is_odd(scheme: str, rest: str) -> None:
    """An address that can't be understood is a mistake of the timeline, or one to find out when it is opened."""
    sources = {"v1": {"url": scheme + rest, "local": scheme + rest}}
    data = {"version": 1, "sources": sources, "clips": [{"video_id": "v1", "start": 0, "end": 1}]}
    try:
        timeline = load_timeline(json.dumps(data).encode())
    except TimelineError:
        return
    assert 3 == len(build_plan(timeline, BASE).edits[0].ladder)


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        pytest.param("http://x/y", True, id="http"),
        pytest.param("HTTPS://x/y", True, id="upper case"),
        pytest.param("file:///x", False, id="file"),
        pytest.param("http.mp4", False, id="path"),
    ],
)
def test_is_remote_when(url: str, remote: bool) -> None:
    """Only http and https need the network."""
    assert remote == is_remote(url)
