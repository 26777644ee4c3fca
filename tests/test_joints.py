"""Where clips meet: sound runs on where what is heard goes on, and fades where it doesn't."""

import itertools
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from fakes import make_plan
from golden import Rendered, render, timeline
from hypothesis import given
from hypothesis import strategies as st
from media import read_samples

from clipcut.ffmpeg.argv import PCM_BYTES
from clipcut.joints import Passing, fade_samples, runs_on
from clipcut.plan import Edit, Method, Rung
from clipcut.results import Attempt, ClipResult, Outcome, Status
from clipcut.timebase import sample_at
from clipcut.timeline import AudioProfile, Clip

RATE = 48000
STEP = 0.036
"""More than two samples of the tone ever differ by in a row."""

LADDER = (
    Rung(Method.REMOTE, "https://a.example/v.mp4"),
    Rung(Method.LOCAL, "/a.mp4"),
    Rung(Method.LOCAL, "/b.mp4"),
    Rung(Method.PLACEHOLDER),
)


def made(*failed: Method, by: Method = Method.REMOTE, **change: Any) -> ClipResult:
    """Return a clip that is done: one second from second 1 on, made after these rungs had failed."""
    edit = make_plan("v", ladder=LADDER).edits[0]
    written: dict[str, Any] = {name: change.pop(name) for name in ("video_id", "start", "gain_db") if name in change}
    written.setdefault("start", Fraction(1))
    if "frames" in change:
        frames, fps = change.pop("frames"), change.pop("fps", Fraction(30))
        change["slot"] = attrs.evolve(edit.slot, frames=frames, samples=sample_at(frames, fps, RATE))
    edit = attrs.evolve(edit, clip=attrs.evolve(edit.clip, **written), **change)
    attempts = [Attempt(method=method, outcome=Outcome.FAILED) for method in failed]
    return ClipResult(edit=edit, status=Status.SUCCESS, attempts=(*attempts, Attempt(method=by, outcome=Outcome.OK)))


LOCAL = (Method.REMOTE,)


@pytest.mark.parametrize(
    ("before", "after", "goes_on"),
    [
        pytest.param(made(), made(start=Fraction(2)), True, id="exactly"),
        pytest.param(made(), made(start=Fraction(2) + Fraction(1, RATE)), True, id="a-sample-later"),
        pytest.param(made(), made(start=Fraction(2) - Fraction(1, RATE)), True, id="a-sample-earlier"),
        pytest.param(made(), made(start=Fraction(2) + Fraction(2, RATE)), False, id="two-samples-later"),
        pytest.param(made(), made(start=Fraction(2) - Fraction(2, RATE)), False, id="two-samples-earlier"),
        pytest.param(made(frames=18), made(start=Fraction("1.61")), False, id="rounded-down"),
        pytest.param(made(frames=19), made(start=Fraction("1.61")), False, id="rounded-up"),
        pytest.param(made(frames=18), made(start=Fraction("1.6")), True, id="where-the-slot-ends"),
        pytest.param(made(frames=1, fps=Fraction(30000, 1001)), made(start=1 + Fraction(1001, 30000)), True, id="ntsc"),
        pytest.param(made(), made(start=Fraction(2), video_id="w"), False, id="other-video"),
        pytest.param(made(), made(start=Fraction(2), gain_db=Fraction(1)), False, id="louder"),
        pytest.param(made(), made(start=Fraction(2), is_silent=True), False, id="muted"),
        pytest.param(made(), made(*LOCAL, by=Method.LOCAL, start=Fraction(2)), False, id="second-fell-back"),
        pytest.param(made(*LOCAL, by=Method.LOCAL), made(start=Fraction(2)), False, id="first-fell-back"),
        pytest.param(
            made(*LOCAL, by=Method.LOCAL), made(*LOCAL, by=Method.LOCAL, start=Fraction(2)), True, id="both-fell-back"
        ),
        pytest.param(
            made(*LOCAL, by=Method.LOCAL),
            made(*LOCAL, Method.LOCAL, by=Method.LOCAL, start=Fraction(2)),
            False,
            id="to-another-copy",
        ),
        pytest.param(
            made(*LOCAL, by=Method.PLACEHOLDER),
            made(*LOCAL, by=Method.PLACEHOLDER, start=Fraction(2)),
            False,
            id="placeholders",
        ),
    ],
)
def test_sound_runs_on_when_what_is_heard_goes_on(before: ClipResult, after: ClipResult, goes_on: bool) -> None:
    """By the moment that the slot reaches in the source, and by what both clips were made from."""
    assert goes_on == runs_on(before, after, RATE)


@given(
    samples=st.integers(1, 300),
    fade_ms=st.sampled_from([0, 1, 2, 100]),
    channels=st.sampled_from([1, 2, 6]),
    cuts=st.lists(st.integers(0, 300), max_size=5),
    fades_in=st.booleans(),
    fades_out=st.booleans(),
)
def test_fades_are_the_same_however_sound_comes(
    samples: int, fade_ms: int, channels: int, cuts: list[int], fades_in: bool, fades_out: bool
) -> None:
    """In one piece or many: the ends rise from 0 and fall to just above it, and the rest is as it was."""
    audio = AudioProfile(channels=channels, fade_ms=Fraction(fade_ms))
    edit = edit_of(samples)
    whole = np.linspace(0.5, 1, samples * channels, dtype="<f4").reshape(-1, channels)
    length = fade_samples(edit, audio)
    wanted = whole.astype("f8")
    ramp = np.arange(length).reshape(-1, 1) / max(1, length)
    if fades_in:
        wanted[:length] *= ramp
    if fades_out:
        wanted[samples - length :] *= 1 - ramp
    passing, found = Passing(edit, audio, fades_in=fades_in), b""
    places = sorted({0, samples, *(cut for cut in cuts if cut < samples)})
    for begin, end in itertools.pairwise(places):
        found += passing.take(whole[begin:end].tobytes())
        assert len(found) <= (samples - length) * channels * PCM_BYTES
    found += passing.end(fades_out=fades_out)

    assert min(samples // 2, round(fade_ms * 48)) == length
    assert np.allclose(wanted, np.frombuffer(found, "<f4").reshape(-1, channels), atol=1e-6)


def edit_of(samples: int) -> Edit:
    """Make an edit whose slot has so many samples."""
    edit = make_plan("v").edits[0]
    return attrs.evolve(
        edit,
        slot=attrs.evolve(edit.slot, samples=samples),
        clip=Clip(video_id="v", start=Fraction(0), duration=Fraction(1)),
    )


def make_tone(path: Path, ffmpeg: str, *, seconds: int = 4, rate: int = RATE, level: float = 0.8) -> Path:
    """Make a tone whose sound is nowhere the same at two cuts (mono; in stereo each side has 3 dB less)."""
    sound = ["-f", "lavfi", "-i", f"aevalsrc={level}*cos(2*PI*441.37*t):d={seconds}:s={rate}"]
    picture = ["-f", "lavfi", "-i", f"testsrc2=s=64x64:r=30:d={seconds}"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *sound, *picture, "-c:a", "pcm_s16le", str(path)], check=True)
    return path


def sound_at(rendered: Rendered, second: Fraction, ffmpeg: str) -> tuple[float, float]:
    """Return how loud it is at a moment, and the largest step between two samples around it."""
    samples, at = read_samples(rendered.output, ffmpeg=ffmpeg)[:, 0], round(second * RATE)
    return float(abs(samples[at - 24 : at + 24]).max()), float(abs(np.diff(samples[at - 480 : at + 480])).max())


@pytest.mark.media
@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize(
    ("clips", "fps", "frames", "goes_on"),
    [
        pytest.param([(0.5, 1), (1.5, 1)], "30", 30, True, id="whole-frames"),
        pytest.param([(0.5, 1.001), (1.501, 1.001)], "30000/1001", 30, True, id="ntsc"),
        pytest.param([(1, 0.99), (2, 0.6)], "30", 30, True, id="rounded-up-to-the-next-clip"),
        pytest.param([(1, 0.61), (1.61, 0.61)], "30", 18, False, id="a-part-of-a-frame-is-missing"),
        pytest.param([(1, 0.625), (1.625, 0.61)], "30", 19, False, id="a-part-of-a-frame-comes-twice"),
        pytest.param([(1, 0.6), (2, 0.6)], "30", 18, False, id="elsewhere"),
    ],
)
def test_a_cut_never_clicks(
    tmp_path: Path,
    packaged: str,
    rate: int,
    clips: list[tuple[float, float]],
    fps: str,
    frames: int,
    goes_on: bool,
) -> None:
    """A tone that goes on is as loud at the cut as anywhere; else it is silent there; it never jumps."""
    tone = make_tone(tmp_path / "tone.mov", packaged, rate=rate)
    listed = [{"video_id": "v", "start": start, "duration": duration} for start, duration in clips]
    document = timeline(listed, {"v": str(tone)}, audio={"fade_ms": 5}, fps=fps)

    rendered = render(tmp_path, document, ffmpeg=packaged)

    level, step = sound_at(rendered, frames / Fraction(fps), packaged)
    assert step < STEP
    assert goes_on == (level > 0.5)
    assert goes_on or level < 0.15


@pytest.mark.media
@pytest.mark.parametrize("other", ["a-copy", "the-placeholder"])
def test_sound_fades_when_one_of_two_clips_that_meet_falls_back(tmp_path: Path, packaged: str, other: str) -> None:
    """The source ends between them, so the second comes from elsewhere; also out of the cache, and the same then."""
    short = make_tone(tmp_path / "short.mov", packaged, seconds=1)
    make_tone(tmp_path / "copy.mov", packaged, level=0.4)
    source = {"url": str(short)} | ({"local": str(tmp_path / "copy.mov")} if other == "a-copy" else {})
    clips = [{"video_id": "v", "start": start, "duration": 0.5} for start in (0.5, 1)]
    document = timeline(clips, {"v": source}, audio={"fade_ms": 5})

    found = []
    for cached in (False, True):
        rendered = render(tmp_path, document, ffmpeg=packaged)
        assert cached == rendered.report["clips"][0]["cached"]
        assert "success" == rendered.report["clips"][0]["status"] != rendered.report["clips"][1]["status"]
        found.append(read_samples(rendered.output, ffmpeg=packaged))
        level, step = sound_at(rendered, Fraction(1, 2), packaged)
        assert (level, step) < (0.15, STEP)
    assert (found[0] == found[1]).all()


@pytest.mark.media
def test_a_clip_out_of_the_cache_fades_as_its_new_neighbours_have_it(tmp_path: Path, packaged: str) -> None:
    """It ran on when it was made, and is cut off now: found all the same, and the sound is that of a new render."""
    tone = make_tone(tmp_path / "tone.mov", packaged)
    clips = [{"video_id": "v", "start": start, "duration": 0.5} for start in (0.5, 1, 2)]
    sources = {"v": str(tone)}
    render(tmp_path, timeline(clips[:2], sources, audio={"fade_ms": 5}), ffmpeg=packaged)
    for fade in (5, 20):
        document = timeline([clips[0], clips[2], clips[1]], sources, audio={"fade_ms": fade})
        kept = render(tmp_path, document, ffmpeg=packaged)
        samples = read_samples(kept.output, ffmpeg=packaged)
        new = render(tmp_path, document, "--no-cache", ffmpeg=packaged)

        assert [True, fade == 20, True] == [clip["cached"] for clip in kept.report["clips"]]
        assert (samples == read_samples(new.output, ffmpeg=packaged)).all()
        assert sound_at(new, Fraction(1, 2), packaged)[1] < STEP
