"""What the documents promise is what the program does."""

import itertools
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from everyday import LONG, RENDERS, takes_long

from clipcut.cli import run
from clipcut.options import OPTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_nothing_is_skipped_where_that_is_promised() -> None:
    """On CI a missing program is a failure, as tests with it would be skipped: half of the media tests for FFmpeg."""
    needed = ["ffmpeg", "jq", "promtool", "prometheus-node-exporter", "redis-server", "systemd-analyze"]
    needed += ["chromium", "chromedriver"]
    if os.environ.get("CLIPCUT_TESTS_NEED_EVERYTHING"):
        assert [] == [name for name in needed if shutil.which(name) is None]


def test_every_flag_of_render_is_in_the_readme(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The README's settings table has every flag that ``--help`` has, and no other."""
    monkeypatch.setenv("COLUMNS", "200")
    run(["render", "--help"])
    shown = set(re.findall(r"(--[a-z][a-z-]+)", capfd.readouterr().out.split("Examples")[0])) - {"--help"}
    table = README.split("## Settings")[1].split("## The report")[0].split("| flag |")[1]
    listed = set(re.findall(r"(--[a-z][a-z-]+)", table))

    assert shown - {"--verbose", "--quiet"} == listed


def test_every_setting_is_in_the_readme_with_its_names() -> None:
    """Flag, variable and file key of a setting stand in one row."""
    for option in OPTIONS:
        row = next(line for line in README.splitlines() if line.startswith("|") and f"`{option.name}`" in line)
        assert option.flag in row
        assert f"`{option.env}`" in row


def test_the_readme_shows_a_timeline_that_is_one() -> None:
    """The example is read by the program itself."""
    from clipcut.jsonio import load_timeline  # noqa: PLC0415

    example = README.split("## The timeline")[1].split("```json")[1].split("```")[0]

    assert 2 == len(load_timeline(example.encode()).clips)


def test_the_two_commands_stand_on_the_first_screen() -> None:
    """What a new user types."""
    first_screen = "\n".join(README.splitlines()[:40])

    assert "pip install . && clipcut render fixtures/demo.json" in first_screen
    assert "pip install nox && nox" in first_screen


def test_what_is_run_every_day_is_there() -> None:
    """No test that the lists of everyday tests name was renamed or taken away."""
    for name in RENDERS | LONG:
        module, _, test = name.partition("::")
        text = (ROOT / "tests" / module).read_text()
        assert f"def {test.partition('[')[0]}(" in text if test else text


def test_a_render_is_for_every_day_when_it_is_on_the_list() -> None:
    """A test with FFmpeg runs every day if it is named, as a module, a function or a case; any other if it is not."""
    assert not takes_long("test_mux.py::test_frames_are_counted_on_the_grid", media=True)
    assert not takes_long("test_golden.py::test_fixtures_render[demo-0]", media=True)
    assert not takes_long("test_sound.py::test_a_soundtrack_is_heard_where_it_must[packaged-mix]", media=True)
    assert takes_long("test_sound.py::test_a_soundtrack_is_heard_where_it_must[packaged-replace-from-0.4]", media=True)
    assert takes_long("test_resume.py::test_of_two_renders_of_one_output_one_wins", media=True)
    assert not takes_long("test_plan.py::test_is_remote_when[http]", media=False)
    assert takes_long(next(iter(LONG)), media=False)


def test_every_dependency_says_from_which_version() -> None:
    """``nox -s oldest`` takes the lowest version of each, so each has one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]

    assert [] == [one for one in wanted if ">=" not in one and one != "clipcut[test]"]
