"""Standard error holds JSON lines or words, never both: each way to tell of a render, with each way that it may end."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from fakes import FakeCutter

from clipcut.cli import run
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.lines import Lines
from clipcut.pipeline import Render
from clipcut.plan import Method
from clipcut.results import OutputFacts, SpanHashes

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FULL = "/dev/full"


class Stream(io.StringIO):
    """A stand-in for standard error, a terminal or none."""

    def __init__(self, *, is_terminal: bool) -> None:
        """Be empty."""
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        """Tell what it is."""
        return self.is_terminal


async def finish(steps: Render, *lost: str) -> None:
    """Have every clip made but those that can't be had, and an output."""
    gone = {(name, Method.LOCAL): SourceError(Reason.MISSING_FILE, "there is no file a.mp4") for name in lost}
    await steps.extraction.run(FakeCutter(outcomes=gone))
    plan = steps.job.plan
    hashes = (SpanHashes("0" * 32, "0" * 32),) * len(plan.edits)
    steps.output = OutputFacts(steps.job.output, 1, plan.frames, float(plan.seconds), hashes)


async def complete(steps: Render) -> None:
    """Finish well."""
    await finish(steps)


async def degrade(steps: Render) -> None:
    """Finish with a placeholder."""
    await finish(steps, "b")


async def fail(_: Render) -> None:
    """Fail as foreseen."""
    raise RenderError("There is no room.")


async def meet_a_bug(_: Render) -> None:
    """Fail as nobody foresaw."""
    raise ZeroDivisionError("oh")


async def be_stopped(_: Render) -> None:
    """Be ended by a signal."""
    os.kill(os.getpid(), signal.SIGINT)
    await trio.sleep_forever()


ENDS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "complete": (0, complete),
    "failed": (1, fail),
    "bug": (1, meet_a_bug),
    "placeholders": (3, degrade),
    "stopped": (130, be_stopped),
}

MODES = [
    # a terminal?, flags, what standard error holds
    pytest.param(False, [], "json", id="pipe"),
    pytest.param(False, ["-v"], "json", id="pipe-v"),
    pytest.param(False, ["--log-format", "json"], "json", id="pipe-json"),
    pytest.param(False, ["--log-format", "console"], "words", id="pipe-console"),
    pytest.param(False, ["--log-format", "console", "-v"], "words", id="pipe-console-v"),
    pytest.param(False, ["-q"], "words if odd", id="pipe-q"),
    pytest.param(False, ["-q", "-v"], "words if odd", id="pipe-q-v"),
    pytest.param(False, ["-q", "--log-format", "json"], "words if odd", id="pipe-q-json"),
    pytest.param(False, ["--log-file", "log"], "words", id="pipe-file"),
    pytest.param(False, ["--log-file", "log", "-v", "--log-format", "json"], "words", id="pipe-file-v-json"),
    pytest.param(False, ["--log-file", "log", "-q"], "words if odd", id="pipe-file-q"),
    pytest.param(True, [], "words", id="terminal"),
    pytest.param(True, ["-v"], "words", id="terminal-v"),
    pytest.param(True, ["--log-format", "console"], "words", id="terminal-console"),
    pytest.param(True, ["--log-format", "json"], "json", id="terminal-json"),
    pytest.param(True, ["--log-format", "json", "-v"], "json", id="terminal-json-v"),
    pytest.param(True, ["-q"], "words if odd", id="terminal-q"),
    pytest.param(True, ["-q", "--log-format", "json"], "words if odd", id="terminal-q-json"),
    pytest.param(True, ["--log-file", "log", "--log-format", "json"], "words", id="terminal-file-json"),
    pytest.param(True, ["--log-file", "log", "-q"], "words if odd", id="terminal-file-q"),
]
FEW = [one for one in MODES if one.id in ("pipe", "pipe-console", "pipe-q", "pipe-file", "terminal", "terminal-json")]


def kinds(text: str) -> Iterator[str]:
    """Yield what each line is: ``json`` or ``words``."""
    for line in filter(None, (_ESCAPES.sub("", line).strip() for line in text.splitlines())):
        try:
            yield "json" if isinstance(json.loads(line), dict) else "words"
        except ValueError:
            yield "words"


def said(monkeypatch: pytest.MonkeyPatch, *arguments: str, is_terminal: bool) -> tuple[int, str]:
    """Run a command line; return its exit code and what it said on standard error."""
    stream = Stream(is_terminal=is_terminal)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        code = run(list(arguments))
    return code, stream.getvalue()


def wanted(kind: str, code: int) -> set[str]:
    """Return the kinds of lines that there must be, by what a mode says and the exit code."""
    if kind == "words if odd":
        return {"words"} if code else set()
    return {kind}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("is_terminal", "flags", "kind"), MODES)
@pytest.mark.usefixtures("place")
def test_standard_error_holds_json_lines_or_words(
    monkeypatch: pytest.MonkeyPatch, end: str, is_terminal: bool, flags: list[str], kind: str
) -> None:
    """Every line of a render is JSON, or none is, or nothing is said at all."""
    code, work = ENDS[end]
    monkeypatch.setattr(Render, "work", work)

    found, text = said(monkeypatch, "render", "mix.json", *flags, is_terminal=is_terminal)

    assert code == found
    assert wanted(kind, code) == set(kinds(text)), text


@pytest.mark.parametrize(("is_terminal", "flags", "kind"), FEW)
@pytest.mark.parametrize("mistake", ["timeline", "flag", "usage"])
@pytest.mark.usefixtures("place")
def test_mistakes_are_told_in_words_as_nothing_was_logged_yet(
    monkeypatch: pytest.MonkeyPatch, mistake: str, is_terminal: bool, flags: list[str], kind: str
) -> None:
    """Exit code 2, whatever the log would have been; ``-q`` doesn't hide why nothing was done."""
    assert kind  # it makes no difference here
    command = {"timeline": ["broken.json"], "flag": ["mix.json", "--rate", "no"], "usage": ["mix.json", "--no-such"]}

    found, text = said(monkeypatch, "render", *command[mistake], *flags, is_terminal=is_terminal)

    assert (2, {"words"}) == (found, set(kinds(text)))


@pytest.mark.parametrize(("is_terminal", "flags", "kind"), FEW)
@pytest.mark.usefixtures("place")
def test_a_report_that_can_not_be_written_is_told_as_all_else_is(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, flags: list[str], kind: str
) -> None:
    """As a log line where these go to standard error, else in words, also with ``-q``."""
    monkeypatch.setattr(Render, "work", complete)

    found, text = said(monkeypatch, "render", "mix.json", "--report", FULL, *flags, is_terminal=is_terminal)

    assert (0, {kind.removesuffix(" if odd")}) == (found, set(kinds(text))), text
    assert "the report can't be written to /dev/full: No space left on device" in text
    assert (kind == "json") == ("render.report_not_written" in text)


@pytest.mark.parametrize(("is_terminal", "flags", "kind"), FEW)
@pytest.mark.usefixtures("place")
def test_lines_that_were_left_out_are_told_as_all_else_is(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, flags: list[str], kind: str
) -> None:
    """How many log lines nobody took in time."""

    class Slow(Lines):
        def __init__(self, stream: Any) -> None:
            super().__init__(stream)
            self.dropped = 7

    monkeypatch.setattr("clipcut.running.Lines", Slow)
    monkeypatch.setattr(Render, "work", complete)

    found, text = said(monkeypatch, "render", "mix.json", *flags, is_terminal=is_terminal)

    assert (0, {kind.removesuffix(" if odd")}) == (found, set(kinds(text))), text
    assert "7 log lines were left out" in text


@pytest.mark.parametrize(("is_terminal", "flags", "kind"), FEW)
@pytest.mark.usefixtures("place")
def test_a_bug_after_the_render_is_told_as_all_else_is(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, flags: list[str], kind: str
) -> None:
    """Where not even a report could be made, the log says why, and the last words are not in its way."""

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("clipcut.running.build_report", break_down)
    monkeypatch.setattr(Render, "work", complete)

    found, text = said(monkeypatch, "render", "mix.json", *flags, is_terminal=is_terminal)

    assert (1, {kind.removesuffix(" if odd")}) == (found, set(kinds(text))), text
    assert "this is a bug in clipcut" in text


@pytest.mark.usefixtures("place")
def test_the_last_line_says_what_the_summary_would(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Where output and report are, and the totals; a render that wrote none has no output."""
    for work, output in ((complete, str(place / "mix.mp4")), (fail, None)):
        monkeypatch.setattr(Render, "work", work)
        _, text = said(monkeypatch, "render", "mix.json", is_terminal=False)
        last = json.loads(text.splitlines()[-1])
        assert (output, str(place / "mix.report.json")) == (last["output"], last["report"])
        assert 2 == last["clip_stats"]["total_tasks"]


@pytest.mark.media
@pytest.mark.parametrize(("flags", "kind"), [([], "json"), (["--log-format", "console"], "words")])
@pytest.mark.parametrize("path", ["/dev/stderr", "/dev/fd/2"])
def test_a_log_file_that_is_standard_error_counts_as_none(place: Path, path: str, flags: list[str], kind: str) -> None:
    """Otherwise the summary would stand among its lines."""
    command = [sys.executable, "-m", "clipcut", "render", "mix.json", "--log-file", path, *flags]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)

    assert (1, {kind}) == (done.returncode, set(kinds(done.stderr))), done.stderr
