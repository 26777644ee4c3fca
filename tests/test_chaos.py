"""A small chaos run; ``nox -s chaos`` has the large one."""

from pathlib import Path

import pytest
from chaos import make_media, run_seed

SOURCES = 5

pytestmark = pytest.mark.media


def test_what_goes_wrong_by_chance_leaves_a_right_video_and_nothing_else(tmp_path: Path, packaged: str) -> None:
    """Faults in one request of five, and limits that change: frames, counts and exit code are right."""
    make_media(tmp_path, packaged, count=SOURCES)
    run_seed(tmp_path, 0, clips=1, ffmpeg=packaged, count=SOURCES)  # what is loaded once for all isn't left behind

    outcome = run_seed(tmp_path, 3, clips=24, ffmpeg=packaged, count=SOURCES)

    assert [] == outcome.mistakes
    assert outcome.faults
