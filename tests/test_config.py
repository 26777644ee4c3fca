"""Proofs of ``clipcut config``: what is shown, what a change does to the file, and what it leaves as it was."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_settings import good_texts

from clipcut.cli import run
from clipcut.config import change_file
from clipcut.options import FILE_OPTIONS, OPTIONS, Option
from clipcut.settings import CONFIG_NAME, CONFIG_VARIABLE, resolve_settings

BAD_FILE = 'max_paralelism = 3\njob = 5\nlog_format = "xml"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty; the user has no settings file."""
    monkeypatch.setattr("clipcut.settings.user_config_folder", lambda: tmp_path / "user" / "clipcut")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def content(folder: Path) -> dict[str, bytes]:
    """What is in a folder, file by file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_config_when_there_is_no_command(capfd: pytest.CaptureFixture[str]) -> None:
    """Its help is shown, with both."""
    assert 2 == run(["config"])
    out, err = capfd.readouterr()
    assert [] == [word for word in ("show", "set") if word not in out + err]


# Show


def test_config_show_when_layers_are_mixed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line for each setting: its value, and the file or the variable that it came from, in columns."""
    (folder / CONFIG_NAME).write_text("max_parallelism = 6\nrate_limit = 2.5\n")
    monkeypatch.setenv("RENDER_ON_MISSING", "fail")

    assert 0 == run(["config", "show"])

    out, err = capfd.readouterr()
    rows = [line.split(maxsplit=2) for line in out.splitlines()]
    assert ["settings", "file", str(folder / CONFIG_NAME)] == rows[0]
    assert [option.name for option in OPTIONS] == [row[0] for row in rows[1:]]
    shown = {name: (value, origin) for name, value, origin in rows[1:]}
    assert ("6", f"file {folder / CONFIG_NAME}") == shown["max_parallelism"]
    assert ("2.5", f"file {folder / CONFIG_NAME}") == shown["rate_limit"]
    assert ("fail", "environment RENDER_ON_MISSING") == shown["on_missing"]
    assert ("2", "default") == shown["per_video_limit"]
    assert ("none", "default") == shown["job"]
    assert 1 == len({line.index(shown[row[0]][1]) for line, row in zip(out.splitlines()[1:], rows[1:], strict=True)})
    assert "" == err


def test_config_show_when_there_is_no_file(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """That there is none is said first."""
    assert 0 == run(["config", "show"])
    assert "settings file none" == " ".join(capfd.readouterr().out.splitlines()[0].split())


@pytest.mark.parametrize("is_there", [True, False], ids=["file", "none"])
def test_config_show_when_json(folder: Path, capfd: pytest.CaptureFixture[str], is_there: bool) -> None:
    """The report's ``config``, and which file it is."""
    path = folder / "night.toml"
    path.write_text('report = "night.json"\nmax_placeholders = 3\n')

    assert 0 == run(["config", "show", "--json", *(["--config", str(path)] if is_there else [])])

    settings = resolve_settings({}, {}, path if is_there else None, folder)
    shown = json.loads(capfd.readouterr().out)
    assert {"file": str(path) if is_there else None, "config": settings.described()} == shown


def test_config_show_when_settings_are_bad(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All mistakes of file and environment, and nothing on stdout."""
    (folder / CONFIG_NAME).write_text(BAD_FILE)
    monkeypatch.setenv("RENDER_RATE_LIMIT", "fast")

    assert 2 == run(["config", "show"])

    out, err = capfd.readouterr()
    assert "" == out
    assert [] == [word for word in ("max_paralelism", "job", "log_format", "RENDER_RATE_LIMIT") if word not in err]


# Set: what the file says then


NUMBERS = st.one_of(
    st.integers(0, 300).map(str),
    st.from_regex(r"[0-9]{1,5}\.[0-9]{1,6}", fullmatch=True),
    st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,6})?%", fullmatch=True),
)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20)


def parses(option: Option) -> Callable[[str], bool]:
    """Tell whether an option takes a text."""

    def judge(text: str) -> bool:
        try:
            option.parse(text)
        except ValueError:
            return False
        return True

    return judge


@st.composite
def settings(draw: st.DrawFn) -> tuple[Option, str]:
    """A setting and a text that it takes."""
    option = draw(st.sampled_from(list(FILE_OPTIONS.values())))
    sources = [st.sampled_from(good_texts(option))]
    sources += [texts for texts, probe in ((NUMBERS, "2"), (WORDS, "é x")) if parses(option)(probe)]
    return option, draw(st.one_of(sources).filter(parses(option)))


@given(settings(), st.booleans(), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_change_file_when_any_value(
    tmp_path_factory: pytest.TempPathFactory, chosen: tuple[Option, str], is_known: bool, is_here: bool, end: str
) -> None:
    """In the file a value means what it means as a flag, wherever the file lies; comments and other lines stay."""
    option, text = chosen
    cwd = tmp_path_factory.getbasetemp()
    path = (cwd if is_here else cwd.parent) / f"{os.getpid()}.toml"
    other = "max_retry" if option.name == "per_video_limit" else "per_video_limit"
    known = f"{option.name} = 0   # of old" if is_known else "# the end"
    before = ["# the top", "", f"{other} = 3  # kept", known]
    path.write_bytes(end.join([*before, ""]).encode())

    change = change_file(path, option.name, text, cwd)

    wanted = resolve_settings({option.name: text}, {}, None, cwd)
    found = resolve_settings({}, {}, path, cwd)
    assert getattr(wanted, option.name) == getattr(found, option.name)
    line = f"{option.name} = {change.after}"
    after = [*before[:3], *([f"{line}   # of old"] if is_known else [known, line]), ""]
    assert end.join(after).encode() == path.read_bytes()
    assert ("0" if is_known else None) == change.before
    path.unlink()


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("max_parallelism", "6", "max_parallelism = 6"),
        ("rate_limit", "2.5", "rate_limit = 2.5"),
        ("rate_limit", "0.1", "rate_limit = 0.1"),
        ("rate_limit", "20.0", "rate_limit = 20"),
        ("max_placeholders", "3", 'max_placeholders = "3"'),
        ("max_placeholders", "5%", 'max_placeholders = "5%"'),
        ("on_missing", "fail", 'on_missing = "fail"'),
        ("job", 'a "b" \\ c', 'job = "a \\"b\\" \\\\ c"'),
        ("report", "-", 'report = "-"'),
        ("report", "out/r.json", 'report = "out/r.json"'),
        ("ffmpeg", "ffmpeg6", 'ffmpeg = "ffmpeg6"'),
        ("ffmpeg", "/opt/ffmpeg", 'ffmpeg = "/opt/ffmpeg"'),
    ],
)
def test_config_set_when_new(folder: Path, capfd: pytest.CaptureFixture[str], name: str, text: str, line: str) -> None:
    """The file is made; numbers are numbers, texts are quoted, a path in its own folder stays as it is."""
    assert 0 == run(["config", "set", name, text])

    assert {CONFIG_NAME: f"{line}\n".encode()} == content(folder)
    assert (f"{line} in {CONFIG_NAME} (was not set)\n", "") == capfd.readouterr()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("job = 'a'  # mine\n", 'job = "b"  # mine\n', id="comment"),
        pytest.param("  job='a'", '  job="b"', id="no-blanks"),
        pytest.param('"job" = "a"\n', '"job" = "b"\n', id="quoted-key"),
        pytest.param("max_retry = 1", 'max_retry = 1\njob = "b"\n', id="no-line-end"),
        pytest.param("# only a comment\n\n", '# only a comment\n\njob = "b"\n', id="comment-alone"),
        pytest.param("max_retry = 1\r\n", 'max_retry = 1\r\njob = "b"\r\n', id="windows"),
        pytest.param('job = """\na\nb"""  # c\nmax_retry = 1\n', 'job = "b"  # c\nmax_retry = 1\n', id="lines"),
        pytest.param("job = 5 # c\n", 'job = "b" # c\n', id="wrong-type"),
        pytest.param("job = [1,\n 2] # c\n", 'job = "b" # c\n', id="list"),
        pytest.param("job = 0x" + "f" * 5000 + "\n", 'job = "b"\n', id="5000-digits"),
        pytest.param("[job]\nx = 1\n", 'job = "b"\n', id="table"),
        pytest.param("job.x = 1\njob.y = 2\n", 'job = "b"\n', id="dotted"),
    ],
)
def test_config_set_when_the_file_has_a_layout(folder: Path, before: str, after: str) -> None:
    """All but the value stays; a wrong value of the key itself is no obstacle."""
    (folder / CONFIG_NAME).write_bytes(before.encode())

    assert 0 == run(["config", "set", "job", "b"])
    assert {CONFIG_NAME: after.encode()} == content(folder)


def test_config_set_when_there_was_a_value(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The old value is told; one that is the same already leaves the file alone."""
    path = folder / CONFIG_NAME
    path.write_text("max_parallelism = 4 # cores\n")

    assert 0 == run(["config", "set", "max_parallelism", "6"])
    assert "max_parallelism = 6 in clipcut.toml (was 4)\n" == capfd.readouterr().out
    inode = path.stat().st_ino
    assert 0 == run(["config", "set", "max_parallelism", "6"])
    assert "max_parallelism = 6 in clipcut.toml (was 6)\n" == capfd.readouterr().out
    assert inode == path.stat().st_ino


@pytest.mark.parametrize("text", ["r.json", "../r.json", "/r.json"])
def test_config_set_when_the_file_is_elsewhere(folder: Path, text: str) -> None:
    """A relative path is written whole, so that it means what it meant in the current folder."""
    path = folder.parent / "far.toml"

    assert 0 == run(["config", "set", "report", text, "--config", "../far.toml"])

    assert f'report = "{folder / text}"\n' == path.read_text()
    assert str(folder / text) == resolve_settings({}, {}, path, Path("/")).report


def test_config_set_when_the_file_is_a_link(folder: Path) -> None:
    """The link and the file's mode stay, and a relative path is written whole: the file has two folders."""
    real = folder.parent / "real.toml"
    real.write_text("# mine\n")
    real.chmod(0o600)
    (folder / CONFIG_NAME).symlink_to(real)

    assert 0 == run(["config", "set", "report", "r.json"])

    assert (True, 0o600) == ((folder / CONFIG_NAME).is_symlink(), real.stat().st_mode & 0o777)
    assert f'# mine\nreport = "{folder / "r.json"}"\n' == real.read_text()
    assert ["real.toml"] == [path.name for path in folder.parent.glob("*real*")]


# Set: which file


@pytest.mark.parametrize(
    ("arguments", "variable", "present", "changed"),
    [
        pytest.param([], None, [], "here/clipcut.toml", id="none"),
        pytest.param([], None, ["user/clipcut/clipcut.toml"], "user/clipcut/clipcut.toml", id="user"),
        pytest.param(
            [], None, ["user/clipcut/clipcut.toml", "here/clipcut.toml"], "here/clipcut.toml", id="user-and-here"
        ),
        pytest.param([], "new.toml", ["here/clipcut.toml"], "here/new.toml", id="variable"),
        pytest.param(["--config", "far.toml"], "new.toml", ["here/new.toml"], "here/far.toml", id="flag"),
        pytest.param([], "", ["here/clipcut.toml"], "here/clipcut.toml", id="variable-empty"),
    ],
)
def test_config_set_when_choosing_the_file(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variable: str | None,
    present: list[str],
    changed: str,
) -> None:
    """The flag's file, the variable's, the one here, the user's, else a new one here; the others stay."""
    if variable is not None:
        monkeypatch.setenv(CONFIG_VARIABLE, variable)
    for name in present:
        (folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / name).write_text("")

    assert 0 == run(["config", "set", "max_retry", "5", *arguments])
    assert {**dict.fromkeys(present, b""), changed: b"max_retry = 5\n"} == content(folder.parent)


def test_config_set_when_a_variable_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The file is changed, and stderr says that it won't count here."""
    monkeypatch.setenv("RENDER_CLIP_MAX_RETRY", "9")

    assert 0 == run(["config", "set", "max_retry", "5"])

    out, err = capfd.readouterr()
    assert "max_retry = 5 in clipcut.toml (was not set)\n" == out
    assert "note: RENDER_CLIP_MAX_RETRY is set to '9' here, and wins over the file\n" == err


# What set refuses


@pytest.mark.parametrize(
    ("before", "key", "text", "words"),
    [
        pytest.param("", "max_paralelism", "6", ['did you mean "max_parallelism"?'], id="unknown-key"),
        pytest.param("", "zzz", "6", ["unknown key; write one of max_parallelism, "], id="odd-key"),
        pytest.param("", "--concurrency", "6", ["--concurrency"], id="flag-for-key"),
        pytest.param("", "max_parallelism", "0", ["max_parallelism: '0' can't be used", "1 to 256"], id="range"),
        pytest.param("", "job", "", ["control characters"], id="empty"),
        pytest.param("", "report", "a\nb", ["control characters"], id="newline"),
        pytest.param(
            BAD_FILE, "on_missing", "fail", ["max_paralelism: unknown", "job: 5", "log_format: 'xml'"], id="other-keys"
        ),
        pytest.param(
            BAD_FILE, "job", "\t", ["max_paralelism: unknown", "job: '\\t'", "log_format: 'xml'"], id="all-keys"
        ),
        pytest.param("[render]\nx = 1\n", "job", "b", ["render: unknown key"], id="table"),
        pytest.param("job = \n", "job", "b", ["can't be read"], id="no-toml"),
        pytest.param("job = 'a'\njob = 'b'\n", "job", "b", ["can't be read"], id="key-twice"),
        pytest.param("# \xff", "job", "b", ["can't be read"], id="no-text"),
    ],
)
def test_config_set_when_refused(
    folder: Path, capfd: pytest.CaptureFixture[str], before: str, key: str, text: str, words: list[str]
) -> None:
    """Exit 2 with everything that would be wrong; the file is as it was, and no other is made."""
    (folder / CONFIG_NAME).write_bytes(before.encode("latin-1"))

    assert 2 == run(["config", "set", key, text])

    out, err = capfd.readouterr()
    assert ("", []) == (out, [word for word in words if word not in err])
    assert {CONFIG_NAME: before.encode("latin-1")} == content(folder)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        pytest.param("nowhere/x.toml", 2, "--config: there is no folder", id="no-folder"),
        pytest.param("../here", 2, "is not a regular file", id="folder"),
        pytest.param("/dev/null", 2, "is not a regular file", id="device"),
        pytest.param("pipe", 2, "is not a regular file", id="pipe"),
        pytest.param("x" * 300, 1, "can't be written: File name too long", id="too-long"),
        pytest.param("lost", 1, "lost can't be written", id="link-to-no-folder"),
    ],
)
def test_config_set_when_the_file_cannot_be(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, code: int, words: str
) -> None:
    """In words, without waiting for a pipe, and nothing is left behind."""
    os.mkfifo(folder / "pipe")
    (folder / "lost").symlink_to("nowhere/lost.toml")

    assert code == run(["config", "set", "job", "b", "--config", name])

    out, err = capfd.readouterr()
    assert ("", True, False) == (out, words in err, "bug" in err)
    assert {"pipe", "lost"} == {path.name for path in folder.iterdir()}


def test_config_set_when_a_folder_has_an_odd_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A path that no settings file can hold is refused before it is written."""
    odd = tmp_path / os.fsdecode(b"\xff\n")
    odd.mkdir()
    monkeypatch.chdir(odd)

    assert 2 == run(["config", "set", "report", "r.json", "--config", str(tmp_path / CONFIG_NAME)])
    assert "without control characters" in capfd.readouterr().err
    assert {} == content(tmp_path)


def test_config_set_when_the_layout_cannot_be_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is written is read first: a change that would touch another key is refused."""
    (folder / CONFIG_NAME).write_text('job = "a"\nmax_retry = 1\n')
    monkeypatch.setattr("tomlkit.dumps", lambda _: 'job = "b"\nmax_retry = 2\n')

    assert 2 == run(["config", "set", "job", "b"])
    assert 'write job = "b" into it by hand' in capfd.readouterr().err
    assert {CONFIG_NAME: b'job = "a"\nmax_retry = 1\n'} == content(folder)


# Set: with others


def test_change_file_when_several_at_once(tmp_path: Path) -> None:
    """Whoever changes a key loses no other's change, and no reader sees half a file."""
    path = tmp_path / CONFIG_NAME
    changes = {option.name: good_texts(option)[0] for option in FILE_OPTIONS.values()}
    gate = threading.Barrier(len(changes))

    def change(name: str, text: str) -> None:
        gate.wait()
        change_file(path, name, text, tmp_path)

    threads = [threading.Thread(target=change, args=item) for item in changes.items()]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        resolve_settings({}, {}, path if path.exists() else None, tmp_path)
    for thread in threads:
        thread.join()

    origins = resolve_settings({}, {}, path, tmp_path).origins
    assert dict.fromkeys(changes, "file") == {name: origins[name] for name in changes}
    assert [CONFIG_NAME] == [path.name for path in tmp_path.iterdir()]


def test_config_set_when_the_folder_is_held(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It does not wait for ever: another program may hold a lock on the folder for reasons of its own."""
    monkeypatch.setattr("clipcut.config.LOCK_SECONDS", 0.05)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    assert 1 == run(["config", "set", "job", "b"])
    os.close(descriptor)

    assert f"Another program holds a lock on {folder}" in capfd.readouterr().err
    assert {} == content(folder)


def test_config_set_when_locks_are_unknown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems can't lock a folder; the file is changed all the same."""

    def refuse(*_: Any) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", refuse)

    assert 0 == run(["config", "set", "job", "b"])
    assert {CONFIG_NAME: b'job = "b"\n'} == content(folder)


def test_config_set_when_ended_by_a_signal(folder: Path) -> None:
    """The file that is just being written goes, and the settings file is as it was."""
    code = (
        "import os, signal, sys\n"
        "import clipcut.files\n"
        "from clipcut.__main__ import main\n"
        "clipcut.files.replace = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv = ['clipcut', 'config', 'set', 'job', 'b']\n"
        "main()\n"
    )
    (folder / CONFIG_NAME).write_text("# mine\n")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False)

    assert 143 == done.returncode
    assert {CONFIG_NAME: b"# mine\n"} == content(folder)
