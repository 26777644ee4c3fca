"""Files in every form: what comes over HTTP equals what is cut locally, and both equal a plain decode of the file."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from forms import (
    BASES,
    CASES,
    FPS,
    RATE,
    SECONDS,
    Decoded,
    clicks_differ,
    codes_differ,
    decode,
    make_form,
    wanted_codes,
)
from golden import Rendered, render, timeline
from media import FrameCode, find_clicks, make_source, read_frames, read_samples
from packaged import serving

pytestmark = pytest.mark.media

CLIPS = ((Fraction(0), 24), (Fraction("1.56"), 36), (Fraction("4.9"), 33))
"""Start in the source, and frames: from its first picture, over a keyframe, to its end."""

PLACES: dict[str, tuple[str, ...]] = {"local": (), "copied": ("--cut", "auto"), "remote": ()}
"""Where a form is cut from, and how."""


@attrs.frozen
class Cut:
    """A clip as it came out: what its frames say, when it clicks, and why it isn't what was asked for."""

    codes: tuple[FrameCode | None, ...]
    clicks: tuple[float, ...]
    message: str | None


@attrs.frozen
class Matrix:
    """All forms, each decoded on its own, and cut from a local file, with copied pictures too, and over HTTP."""

    truth: Mapping[tuple[str, str], Decoded]
    cuts: Mapping[tuple[tuple[str, str], str, int], Cut]


def _ranges(decoded: Decoded) -> list[tuple[Fraction, int]]:
    """Return the clips that a form is long enough for."""
    last = decoded.times[-1] + Fraction(1, FPS)
    return [(start, min(frames, int((last - start) * FPS))) for start, frames in CLIPS if start + Fraction(1, 2) < last]


def _cuts(rendered: Rendered, ffmpeg: str) -> list[Cut]:
    codes = read_frames(rendered.output, ffmpeg=ffmpeg)
    sound = read_samples(rendered.output, ffmpeg=ffmpeg).mean(axis=1, dtype="float64")
    found = []
    for clip in rendered.report["clips"]:
        first, frames = clip["start_frame"], clip["frames"]
        heard = sound[first * RATE // FPS : (first + frames) * RATE // FPS]
        message = clip["attempts"][0]["message"] if clip["status"] != "success" else None
        found.append(Cut(tuple(codes[first : first + frames]), tuple(find_clicks(heard)), message))
    return found


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Matrix:
    """Make all forms and render them at once: each clip is judged by itself."""
    folder = tmp_path_factory.mktemp("forms")
    bases = {
        name: make_source(
            folder / f"{name}.mp4", ffmpeg=packaged, source_id=1, seconds=SECONDS, gop=FPS, video_args=args
        )
        for name, args in BASES.items()
    }
    www = folder / "www"
    www.mkdir()
    paths = {case: make_form(www, bases, *case, ffmpeg=packaged) for case in CASES}
    truth = {case: decode(path, ffmpeg=packaged) for case, path in paths.items()}
    cuts: dict[tuple[tuple[str, str], str, int], Cut] = {}
    with serving(www) as origin:
        sources = {"local": str(www), "copied": str(www), "remote": origin.url}
        for place, flags in PLACES.items():
            cuts |= _cut_all(folder, paths, truth, place, sources[place], flags, packaged)
    return Matrix(truth, cuts)


def _cut_all(
    folder: Path,
    paths: Mapping[tuple[str, str], Path],
    truth: Mapping[tuple[str, str], Decoded],
    place: str,
    base: str,
    flags: Sequence[str],
    ffmpeg: str,
) -> dict[tuple[tuple[str, str], str, int], Cut]:
    wanted = [(case, *each) for case in paths for each in enumerate(_ranges(truth[case]))]
    sources = {path.stem: f"{base}/{path.name}" for path in paths.values()}
    clips = [
        {"video_id": paths[case].stem, "start": float(start), "duration": float(Fraction(frames, FPS))}
        for case, _, (start, frames) in wanted
    ]
    document = timeline(clips, sources)
    rendered = render(folder, document, "--no-cache", "--concurrency", "6", *flags, ffmpeg=ffmpeg, name=f"{place}.mp4")
    assert rendered.exit_code in (0, 3), rendered.report.get("error")
    cuts = _cuts(rendered, ffmpeg)
    return {(case, place, number): cut for (case, number, _), cut in zip(wanted, cuts, strict=True)}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES, ids=": ".join)
def test_a_form_is_cut_exactly(matrix: Matrix, case: tuple[str, str], place: str) -> None:
    """Every frame and every click of it is where a plain decode of the file has it."""
    truth = matrix.truth[case]
    assert truth.codes
    for number, (start, frames) in enumerate(_ranges(truth)):
        cut = matrix.cuts[case, place, number]
        assert (None, 0) == (cut.message, codes_differ(cut.codes, wanted_codes(truth, start, frames)))
        assert [] == clicks_differ(cut.clicks, truth, start, frames)


def test_the_forms_are_many() -> None:
    """The table has not shrunk."""
    assert len(CASES) >= 80
