"""Golden tests: each output frame and each click is read back from the finished file."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from golden import Numbered, assert_clicks, assert_picture, render, timeline
from media import make_source, packet_times, read_samples

pytestmark = pytest.mark.media

EDGES = [
    {"video_id": "v1", "start": 0, "duration": 1.4},
    {"video_id": "v1", "start": 11.5, "end": 12},
    {"video_id": "v1", "start": 3.7, "duration": 0.0334},
    {"video_id": "v1", "start": 2, "end": 4},
    {"video_id": "v1", "start": 1.966667, "end": 3.033333},
    {"video_id": "v1", "start": 1.966667, "end": 3.033333},
    {"video_id": "v1", "start": 0.1, "duration": 0.2},
]


def test_frames_and_clicks_are_right_at_the_source_rate(sources: Path, tmp_path: Path, ffmpeg: str) -> None:
    """Clips at the start, at the end, of one frame, over a keyframe, and the same moment twice are exact."""
    document = timeline(EDGES, {"v1": str(sources / "v1.mp4")})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, {"v1": Numbered(1)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)


def test_times_rounded_to_the_millisecond_give_the_same_frames(sources: Path, tmp_path: Path, packaged: str) -> None:
    """A start that is off by less than half a millisecond picks the same frames as the exact one."""
    starts = [n * 17 % 300 for n in range(1, 13)]
    exact = [{"video_id": "v1", "start": n / 30, "end": (n + 7) / 30} for n in starts]
    rounded = [{"video_id": "v1", "start": round(n / 30, 3), "end": round((n + 7) / 30, 3)} for n in starts]
    document = timeline(rounded, {"v1": str(sources / "v1.mp4")})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_picture(
        rendered,
        timeline(exact, {"v1": str(sources / "v1.mp4")}),
        {"v1": Numbered(1)},
        ffmpeg=packaged,
    )


RATES = ["24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120"]


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> dict[str, Path]:
    """A numbered source of 3 s for each rate."""
    folder = tmp_path_factory.mktemp("rated")
    return {
        rate: make_source(
            folder / f"r{number}.mp4",
            ffmpeg=packaged,
            source_id=number,
            seconds=3,
            fps=Fraction(rate),
            audio=False,
            pattern=False,
        )
        for number, rate in enumerate(RATES)
    }


@pytest.mark.parametrize("fps", ["30", "25", "24000/1001", "60"])
def test_each_frame_is_the_one_on_display_when_rates_differ(
    rated: dict[str, Path], tmp_path: Path, ffmpeg: str, fps: str
) -> None:
    """Frame k of a slot shows the source frame on display in the middle of its own time, at any pair of rates."""
    ids = {rate: f"v{number}" for number, rate in enumerate(RATES)}
    clips = [{"video_id": ids[rate], "start": start, "duration": 0.61} for rate in RATES for start in (0, 0.513, 2.1)]
    document = timeline(clips, {ids[rate]: str(rated[rate]) for rate in RATES}, fps=fps)
    media = {ids[rate]: Numbered(n, Fraction(rate), int(3 * Fraction(rate))) for n, rate in enumerate(RATES)}

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert 0 == rendered.exit_code
    assert_picture(rendered, document, media, ffmpeg=ffmpeg)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frame_times_are_even_in_every_container(sources: Path, tmp_path: Path, ffmpeg: str, suffix: str) -> None:
    """Frame n is shown at n/fps exactly; in Matroska rounded to the millisecond."""
    clips = [{"video_id": "v2", "start": n * 0.97, "duration": 0.3 + n * 0.011} for n in range(8)]
    document = timeline(clips, {"v2": str(sources / "v2.mp4")}, fps="30000/1001")

    rendered = render(tmp_path, document, ffmpeg=ffmpeg, name=f"mix{suffix}")

    times = packet_times(rendered.output)
    even = [Fraction(n * 1001, 30000) for n in range(len(times))]
    assert rendered.report["output"]["frames"] == len(times)
    if suffix == ".mkv":
        assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(even, times, strict=True))
    else:
        assert even == times
    assert_picture(rendered, document, {"v2": Numbered(2, Fraction(25), 300)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)


@pytest.mark.parametrize(
    ("rate", "channels"),
    [
        pytest.param(44100, 2, id="44100-stereo"),
        pytest.param(48000, 1, id="48000-mono"),
        pytest.param(96000, 6, id="96000-5.1"),
        pytest.param(22050, 2, id="22050-stereo"),
    ],
)
def test_sound_conforms_to_any_rate_and_layout(
    sources: Path, tmp_path: Path, packaged: str, rate: int, channels: int
) -> None:
    """Sound of two kinds of source keeps its place at any output rate and channel count."""
    clips = [{"video_id": name, "start": start, "duration": 1.3} for start in (0, 2.717, 5.5) for name in ("v1", "v2")]
    paths = {name: str(sources / f"{name}.mp4") for name in ("v1", "v2")}
    document = timeline(clips, paths, audio={"sample_rate": rate, "channels": channels})

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_clicks(rendered, document, ffmpeg=packaged)
    samples = read_samples(rendered.output, ffmpeg=packaged, sample_rate=rate)
    assert channels == samples.shape[1]


def test_a_clip_without_sound_is_silent_and_moves_nothing(sources: Path, tmp_path: Path, ffmpeg: str) -> None:
    """Muted clips and sources without sound are silence of exactly their slot's length."""
    silent = make_source(tmp_path / "silent.mp4", ffmpeg=ffmpeg, source_id=7, seconds=2, audio=False, pattern=False)
    clips: list[dict[str, Any]] = [
        {"video_id": "v1", "start": 1, "duration": 0.517},
        {"video_id": "quiet", "start": 0.5, "duration": 0.733},
        {"video_id": "v1", "start": 3.9, "duration": 1.2, "mute": True},
        {"video_id": "v1", "start": 6.9, "duration": 0.8},
    ]
    document = timeline(clips, {"v1": str(sources / "v1.mp4"), "quiet": str(silent)})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert_picture(rendered, document, {"v1": Numbered(1), "quiet": Numbered(7, frames=60)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg, silent=["quiet"])


def test_gain_changes_the_level_by_as_much(sources: Path, tmp_path: Path, packaged: str) -> None:
    """A clip with ``gain_db`` -12 is a quarter as loud as one without."""
    clips = [
        {"video_id": "v1", "start": 2.5, "duration": 1},
        {"video_id": "v1", "start": 2.5, "duration": 1, "gain_db": -12},
    ]
    rendered = render(tmp_path, timeline(clips, {"v1": str(sources / "v1.mp4")}), ffmpeg=packaged)

    samples = read_samples(rendered.output, ffmpeg=packaged)
    loud, soft = abs(samples[:48000]).max(), abs(samples[48000:96000]).max()
    assert soft / loud == pytest.approx(10 ** (-12 / 20), rel=0.05)


@pytest.mark.parametrize(
    ("width", "height", "area"),
    [
        pytest.param(320, 240, (0, 0, 320, 240), id="same-shape"),
        pytest.param(640, 360, (80, 0, 480, 360), id="wider-bars-left-and-right"),
        pytest.param(240, 320, (0, 70, 240, 180), id="portrait-bars-above-and-below"),
    ],
)
def test_other_shapes_get_bars_when_fit_is_contain(
    tmp_path: Path, packaged: str, width: int, height: int, area: tuple[int, int, int, int]
) -> None:
    """The whole picture is in the output, in the middle, with its shape kept."""
    source = make_source(
        tmp_path / "v.mp4", ffmpeg=packaged, source_id=3, seconds=2, width=320, height=240, audio=False
    )
    document = timeline([{"video_id": "v", "start": 0.5, "end": 1.5}], {"v": str(source)}, width=width, height=height)

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_picture(rendered, document, {"v": Numbered(3, frames=60)}, ffmpeg=packaged, area=area)


def test_odd_sizes_conform(tmp_path: Path, packaged: str) -> None:
    """A source of 321x181 pixels is read like any other."""
    args = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")
    source = make_source(
        tmp_path / "v.mkv",
        ffmpeg=packaged,
        source_id=3,
        seconds=2,
        audio=False,
        video_args=args,
        video_filter="scale=321:181",
    )
    document = timeline([{"video_id": "v", "start": 0.5, "end": 1.5}], {"v": str(source)}, width=320, height=180)

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert_picture(rendered, document, {"v": Numbered(3, frames=60)}, ffmpeg=packaged)


def test_a_missing_source_leaves_every_other_frame_in_its_place(sources: Path, tmp_path: Path, ffmpeg: str) -> None:
    """A placeholder fills exactly its slot: exit 3, and all other frames and clicks are right."""
    clips: list[dict[str, Any]] = [
        {"video_id": "v1", "start": 1, "duration": 0.77},
        {"video_id": "gone", "start": 0.5, "duration": 4.123, "mute": True},
        {"video_id": "v1", "start": 6.9, "duration": 0.8},
    ]
    document = timeline(clips, {"v1": str(sources / "v1.mp4"), "gone": "nowhere.mp4"})

    rendered = render(tmp_path, document, ffmpeg=ffmpeg)

    assert (3, "degraded") == (rendered.exit_code, rendered.report["status"])
    assert ["success", "fallback-placeholder", "success"] == [clip["status"] for clip in rendered.report["clips"]]
    assert_picture(rendered, document, {"v1": Numbered(1)}, ffmpeg=ffmpeg)
    assert_clicks(rendered, document, ffmpeg=ffmpeg)


@pytest.mark.parametrize(("name", "code"), [("demo", 0), ("missing_source", 3)])
def test_fixtures_render(tmp_path: Path, packaged: str, name: str, code: int) -> None:
    """The timelines of the README end with the exit codes that it promises."""
    fixture = Path(__file__).parents[1] / "fixtures" / f"{name}.json"
    document = json.loads(fixture.read_text())
    for source in document["sources"].values():
        source["url"] = str(fixture.parent / source["url"])
        if "local" in source:
            source["local"] = str(fixture.parent / source["local"])

    rendered = render(tmp_path, document, ffmpeg=packaged)

    assert code == rendered.exit_code
