"""A bug in a step is told as such, in one line that says where its traceback is; never as a bare traceback."""

import json
import re
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from reports import read_report
from test_standard_error import Stream, complete

from clipcut.cli import app, run
from clipcut.failures import error_text, one_line
from clipcut.ffmpeg.asking import ReaderBugError, take_answer
from clipcut.ffmpeg.probe import probe
from clipcut.pipeline import Render

WORDS = "this is a bug in clipcut (ZeroDivisionError: oh, in two lines); please report it with its traceback, "

pytestmark = pytest.mark.usefixtures("place")


def break_down(*_: object, **__: object) -> NoReturn:
    """Meet a bug."""
    raise ZeroDivisionError("oh,\n  in two lines")


async def work(_: Render) -> None:
    """Meet a bug while rendering."""
    break_down()


COMMANDS = [
    pytest.param("check mix.json", "clipcut.commands.build_plan", id="check"),
    pytest.param("plan mix.json", "clipcut.commands.build_plan", id="plan"),
    pytest.param("schema", "clipcut.commands.timeline_schema", id="schema"),
    pytest.param("verify mix.json", "clipcut.verify_command.read_reported", id="verify"),
    pytest.param("config show", "clipcut.config_commands.command_settings", id="config show"),
    pytest.param("config set cut auto", "clipcut.config_commands.change_file", id="config set"),
    pytest.param("cache info", "clipcut.cache_commands.command_settings", id="cache info"),
    pytest.param("cache clear", "clipcut.cache_commands.command_settings", id="cache clear"),
    pytest.param("doctor", "clipcut.commands.read_settings", id="doctor"),
    pytest.param("render mix.json", "clipcut.cli.prepare", id="render"),
]


def names(group: object, *before: str) -> set[str]:
    """Return the names of a group's commands, those of its groups with these in front."""
    commands = getattr(group, "commands", None)
    if commands is None:
        return {" ".join(before)}
    return {name for key, command in commands.items() for name in names(command, *before, key)}


def test_every_command_is_in_the_table() -> None:
    """None has a way of its own to end."""
    assert names(typer.main.get_command(app)) == {one.id for one in COMMANDS}


@pytest.mark.parametrize(("command", "step"), COMMANDS)
def test_a_bug_in_any_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str, step: str
) -> None:
    """It asks for a report, names the kind of error, and says how to see the traceback."""
    monkeypatch.setattr(step, break_down)

    assert 1 == run(command.split())
    assert ("", f"clipcut: {WORDS}which -v shows\n") == capfd.readouterr()


@pytest.mark.parametrize("flag", ["-v", "--verbose"])
@pytest.mark.parametrize(("command", "step"), COMMANDS)
def test_every_command_shows_the_traceback_of_a_bug_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str, step: str, flag: str
) -> None:
    """Above the line, so that the last line is the one to read."""
    monkeypatch.setattr(step, break_down)

    assert 1 == run([*command.split(), flag])
    lines = capfd.readouterr().err.splitlines()
    assert ["Traceback (most recent call last):", f"clipcut: {WORDS}which stands above"] == [lines[0], lines[-1]]
    assert any(line.endswith("in break_down") for line in lines)


@pytest.mark.parametrize("flags", [[], ["-v"]], ids=["plain", "verbose"])
def test_a_bug_in_doctors_self_test_is_told_after_what_was_found(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    """The findings are printed all the same."""
    monkeypatch.setattr(Render, "work", work)

    assert 1 == run(["doctor", *flags])
    out, err = capfd.readouterr()
    assert re.search(r"^BAD  self-test +this is a bug in clipcut", out, re.MULTILINE)
    assert re.search(r"^ok   cores ", out, re.MULTILINE)
    assert bool(flags) == ("in break_down" in err)
    assert WORDS in err.splitlines()[-1]


MODES = [
    # flags, what the one line says of the traceback, and where that is
    pytest.param([], "which is in the log line render.failed", "line", id="json"),
    pytest.param(["-v"], "which is in the log line render.failed", "line", id="json-v"),
    pytest.param(["--log-file", "log"], "which is in {place}/log", "file", id="file"),
    pytest.param(["--log-file", "log", "-q"], "which is in {place}/log", "file", id="file-q"),
    pytest.param(
        ["--log-file", "log", "--log-format", "console"], "which is in {place}/log", "file", id="file-console"
    ),
    pytest.param(["--log-format", "console"], "which -v shows", "", id="console"),
    pytest.param(["-q"], "which -v shows", "", id="q"),
    pytest.param(["--log-format", "console", "-v"], "which stands above", "words", id="console-v"),
    pytest.param(["-q", "-v"], "which stands above", "words", id="q-v"),
]


@pytest.mark.parametrize(("flags", "where", "holder"), MODES)
def test_a_bug_in_a_render_says_where_its_traceback_is(
    place: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], where: str, holder: str
) -> None:
    """In the log file, in the JSON line, on stderr with ``-v``; the report has the one line too."""
    monkeypatch.setattr(Render, "work", work)
    stream = Stream(is_terminal=False)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert 1 == run(["render", "mix.json", *flags])

    err, words = stream.getvalue(), WORDS + where.format(place=place)
    log = (place / "log").read_text() if (place / "log").exists() else ""
    assert words == read_report(place / "mix.report.json")["error"]
    assert {"line": holder == "line", "file": holder == "file", "words": holder == "words"} == {
        "line": err.startswith("{") and "in break_down" in json.loads(err.splitlines()[-1])["exception"],
        "file": "in break_down" in log,
        "words": not err.startswith("{") and "in break_down" in err,
    }
    if holder == "line":
        assert words == json.loads(err.splitlines()[-1])["error"]
    else:
        assert [f"failed: {words}"] == [line for line in err.splitlines() if line.startswith("failed: ")]
        assert (1 if holder == "words" else 0) == err.count("Traceback")


@pytest.mark.parametrize(("flags", "has_traceback"), [([], True), (["--log-format", "console"], False)])
def test_a_bug_beside_a_render_is_a_warning_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], has_traceback: bool
) -> None:
    """The render goes on to its end."""

    async def watch(_: object) -> None:
        break_down()

    monkeypatch.setattr("clipcut.running.FileWatch.run", watch)
    monkeypatch.setattr(Render, "work", complete)
    stream = Stream(is_terminal=False)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert 0 == run(["render", "mix.json", *flags])

    (line,) = [line for line in stream.getvalue().splitlines() if "render.task_failed" in line]
    assert WORDS in line
    assert has_traceback == ("in break_down" in line) == ("in break_down" in stream.getvalue())


def test_a_bug_in_what_follows_a_mistake_does_not_hide_the_mistake(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and its words, and a line for the bug."""
    monkeypatch.setattr("clipcut.cli.note_refusal", break_down)

    assert 2 == run(["render", "nowhere.json"])
    lines = capfd.readouterr().err.splitlines()
    assert "clipcut: The timeline can't be used:" == lines[0]
    assert [f"clipcut: {WORDS}which -v shows"] == lines[2:]


def test_a_bug_in_a_reader_keeps_its_own_traceback() -> None:
    """One line says what it is; the reader's traceback goes along, with nothing in it that a terminal obeys."""
    said = {"failed": "bug", "message": "KeyError: 'x\x1b[2J'", "traceback": "Traceback …\n  at home\x07\nKeyError"}
    with pytest.raises(ReaderBugError) as caught:
        take_answer(probe, (Path("a.mp4"),), json.dumps(said).encode())

    assert "(ReaderBugError: KeyError: 'x?[2J'); please report" in error_text(caught.value)
    shown = "".join(traceback.format_exception(caught.value))
    assert "In the reader:\nTraceback …\n  at home?\nKeyError\n" in shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param("a\r\n  b\n\nc", "ZeroDivisionError: a b c)", id="lines"),
        pytest.param("", "ZeroDivisionError:)", id="nothing"),
        pytest.param("x" * 1000, f"{'x' * 281}…)", id="long"),
        pytest.param("https://u:p@a.example/v?token=1 failed", "https://a.example/v failed)", id="secret"),
    ],
)
def test_what_is_shown_of_a_bug_is_short_and_has_no_secret(message: str, shown: str) -> None:
    """One line, however long the message was."""
    words = error_text(ZeroDivisionError(message))

    assert shown in words
    assert words == one_line(words)
