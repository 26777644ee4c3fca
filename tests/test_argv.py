"""FFmpeg's argument lists: what they hold, and what they never hold."""

from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.ffmpeg.argv import (
    Targets,
    cut_argv,
    need_of,
    placeholder_argv,
    plan_cut,
    sound_argv,
)
from clipcut.ffmpeg.excerpt import Excerpt
from clipcut.ffmpeg.orientation import Orientation
from clipcut.ffmpeg.picture import conform_filters, fit_size
from clipcut.ffmpeg.probe import AudioInfo, MediaInfo, VideoInfo
from clipcut.plan import Edit, Method, Rung, Slot
from clipcut.timeline import AudioProfile, Clip, Output

VIDEO = VideoInfo(
    index=0,
    codec="h264",
    time_base=Fraction(1, 90000),
    zero=Fraction(132000, 90000),
    width=1280,
    height=720,
    sample_aspect=Fraction(1),
    frame_seconds=Fraction(1, 30),
    pixel_format="yuv420p",
    full_range=False,
    matrix=1,
)
MEDIA = MediaInfo(
    path=Path("/media/-o; $(rm -rf) 'x'.mp4"),
    video=VIDEO,
    audio=AudioInfo(index=1, time_base=Fraction(1, 48000), sample_rate=48000, channels=2),
)
EDIT = Edit(
    index=0,
    clip=Clip(id="a", video_id="v", start=Fraction(5), duration=Fraction(1)),
    slot=Slot(start_frame=0, frames=30, start_sample=0, samples=48000),
    ladder=(Rung(Method.LOCAL, "v.mp4"),),
)
EXCERPT = Excerpt(
    video=Path("/work/000000.video"),
    sound=Path("/work/000000.sound"),
    time_base=Fraction(1, 90000),
    pictures=tuple(132000 + 450000 + n * 3000 for n in range(30)),
    video_shift=Fraction(3600),
    sound_shift=Fraction(3600),
    keyframe=Fraction(0),
)
TARGETS = Targets(video=Path("/work/000000.mov"), sound=Path("/work/000000.pcm"), threads=1)


def cut(edit: Edit = EDIT, media: MediaInfo = MEDIA, output: Output | None = None) -> list[str]:
    """Build a cut's argument list."""
    return cut_argv("ffmpeg", edit, media, EXCERPT, output or Output(), TARGETS)


def test_a_cut_reads_its_excerpt_only_and_strictly() -> None:
    """No standard input, errors end it, only files, only known formats and codecs, only names that we made."""
    argv = cut()

    assert {"-nostdin", "-xerror", "-copyts"} <= set(argv)
    assert "file" == argv[argv.index("-protocol_whitelist") + 1]
    assert "nut,ivf,mov,matroska" == argv[argv.index("-format_whitelist") + 1]
    assert "magicyuv" not in argv[argv.index("-codec_whitelist") + 1].split(",")
    assert ["file:/work/000000.video", "file:/work/000000.sound"] == [
        argv[place + 1] for place, word in enumerate(argv) if word == "-i"
    ]
    assert str(MEDIA.path) not in " ".join(argv)


@given(label=st.text(max_size=80), name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_no_text_of_the_timeline_reaches_a_command_line(label: str, name: str) -> None:
    """Whatever ids and labels say, the argument list is the same."""
    clip = attrs.evolve(EDIT.clip, id=name, video_id=name, label=label)

    assert cut() == cut(attrs.evolve(EDIT, clip=clip))


def test_a_picture_at_the_middle_of_a_frame_is_the_one_shown() -> None:
    """Ties go to the picture that begins there: the clip's start is moved to just below 0, by one fine tick."""
    plan = plan_cut(EDIT, VIDEO, EXCERPT)

    assert -1 == plan.pictures[0]
    assert plan.rate % 90000 == 0
    assert Fraction(plan.pictures[1] + 1, plan.rate) == Fraction(1, 30)


@given(
    start=st.fractions(0, 10_000, max_denominator=10**6),
    den=st.sampled_from([1000, 15360, 30000, 90000, 10**6, 1_200_000]),
    ticks=st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    fps=st.sampled_from([Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(60000, 1001), Fraction(240)]),
)
def test_fine_ticks_pick_the_frame_on_display_exactly(
    start: Fraction, den: int, ticks: list[int], fps: Fraction
) -> None:
    """FFmpeg's rounding of a moved timestamp gives the first output frame that shows the picture, ties included."""
    edit = attrs.evolve(EDIT, clip=attrs.evolve(EDIT.clip, start=start))
    video = attrs.evolve(VIDEO, time_base=Fraction(1, den), zero=Fraction(0))
    excerpt = attrs.evolve(EXCERPT, time_base=Fraction(1, den), pictures=tuple(sorted(ticks)), video_shift=Fraction(0))

    plan = plan_cut(edit, video, excerpt)

    for tick, moved in zip(excerpt.pictures, plan.pictures, strict=True):
        exact = (Fraction(tick, den) - start) * fps - Fraction(1, 2)
        near_away = Fraction(moved, plan.rate) * fps
        rounded = -int(-near_away + Fraction(1, 2)) if near_away < 0 else int(near_away + Fraction(1, 2))
        if exact > 0:
            assert -(-exact // 1) == rounded  # the first k with (k + 1/2) / fps at or after the picture's begin
        else:
            assert rounded <= 0


def test_a_need_is_told_in_the_sources_own_time() -> None:
    """From the middle of the first frame to the middle of the last, after the source's zero."""
    need = need_of(EDIT, VIDEO, Fraction(30))
    zero = Fraction(132000, 90000)

    assert (zero + 5 + Fraction(1, 60), zero + 6 - Fraction(1, 60)) == (need.first, need.last)
    assert (zero + 5, zero + 6) == need.sound
    assert None is need_of(attrs.evolve(EDIT, is_silent=True), VIDEO, Fraction(30)).sound


@pytest.mark.parametrize(
    ("width", "height", "aspect", "orientation", "fit", "expected"),
    [
        pytest.param(1280, 720, 1, 1, "contain", (1280, 720), id="same"),
        pytest.param(640, 480, 1, 1, "contain", (960, 720), id="narrow"),
        pytest.param(640, 480, 1, 1, "cover", (1280, 960), id="narrow-cover"),
        pytest.param(640, 480, 1, 1, "stretch", (1280, 720), id="narrow-stretch"),
        pytest.param(1920, 800, 1, 1, "contain", (1280, 534), id="wide"),
        pytest.param(720, 576, Fraction(64, 45), 1, "contain", (1280, 720), id="anamorphic"),
        pytest.param(1920, 1080, 1, 6, "contain", (406, 720), id="turned"),
        pytest.param(10000, 16, 1, 1, "contain", (1280, 2), id="a-line"),
    ],
)
def test_fit_keeps_the_shape_and_even_sizes(
    width: int, height: int, aspect: Fraction, orientation: int, fit: str, expected: tuple[int, int]
) -> None:
    """Bars or crop make up the rest."""
    video = attrs.evolve(
        VIDEO, width=width, height=height, sample_aspect=Fraction(aspect), orientation=Orientation(orientation)
    )

    assert expected == fit_size(video, Output(fit=fit))


def test_a_picture_that_is_ready_is_not_scaled() -> None:
    """The right size, format and colours pass as they are; anything else is converted to BT.709, limited range."""
    assert not any(step.startswith("scale") for step in conform_filters(VIDEO, Output()))
    for other in (
        {"matrix": 5},
        {"full_range": True},
        {"pixel_format": "yuv422p10le"},
        {"width": 640, "height": 360},
        {"matrix": 9},
    ):
        steps = conform_filters(attrs.evolve(VIDEO, **other), Output())
        assert any("out_color_matrix=bt709:out_range=tv" in step for step in steps)


def test_a_placeholder_without_asset_is_black_of_the_outputs_form() -> None:
    """Nothing is read then."""
    argv = placeholder_argv("ffmpeg", EDIT, None, Output(width=320, height=180), TARGETS)

    assert "color=c=black:s=320x180:r=30/1" in argv
    assert "-af" not in argv


def test_the_sound_encoder_reads_raw_samples_of_the_outputs_form() -> None:
    """One encoder for the whole output."""
    argv = sound_argv("ffmpeg", AudioProfile(sample_rate=44100, channels=1, bitrate="96k"), Path("/work/s.mp4"))

    assert ["-f", "f32le", "-ar", "44100", "-ac", "1", "-i", "pipe:0"] == argv[argv.index("-f") : argv.index("-c:a")]
    assert "96k" in argv
