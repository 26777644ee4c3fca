"""What Python programs are offered: all of it can be used as it is described, and there is nothing else."""

import inspect
import json
import textwrap
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

import clipcut

TIMELINE = {
    "version": 1,
    "sources": {"v": {"url": "v.mp4"}},
    "clips": [{"video_id": "v", "start": 0.5, "duration": start} for start in (1.25, 2)],
}


def _load() -> None:
    timeline = clipcut.load_timeline(json.dumps(TIMELINE).encode())
    assert ["clip-0001", "clip-0002"] == [clip.id for clip in timeline.clips]
    assert Fraction("1.25") == timeline.clips[0].length


def _refuse() -> None:
    with pytest.raises(clipcut.TimelineError, match=r"mix.json can't be used") as caught:
        clipcut.load_timeline(b"{}", "mix.json")
    assert ["$.version", "$.sources", "$.clips"] == [mistake.where for mistake in caught.value.mistakes]


def _catch() -> None:
    with pytest.raises(clipcut.ClipcutError):
        clipcut.load_timeline(b"no JSON")


def _tell() -> None:
    assert 3 == len(clipcut.__version__.split("."))


USES: dict[str, Callable[[], None]] = {
    "ClipcutError": _catch,
    "TimelineError": _refuse,
    "__version__": _tell,
    "load_timeline": _load,
}


def test_everything_that_is_offered_can_be_used() -> None:
    """Each name with arguments that a caller can have."""
    assert sorted(USES) == sorted(clipcut.__all__)
    for use in USES.values():
        use()


def test_nothing_else_is_offered() -> None:
    """A name that can't be used isn't there."""
    with pytest.raises(AttributeError, match="no attribute 'render'"):
        clipcut.__getattr__("render")


def test_the_example_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run on a good timeline and on a bad one."""
    example = textwrap.dedent((inspect.getdoc(clipcut) or "").partition("::")[2])
    monkeypatch.chdir(tmp_path)
    for document in (TIMELINE, TIMELINE | {"version": 2}):
        Path("mix.json").write_text(json.dumps(document))
        exec(compile(example, "example", "exec"), {})  # noqa: S102

    assert "2 clips, 13/4 seconds\n$.version 2 is a version that this clipcut can't read; write 1\n" == (
        capsys.readouterr().out
    )
