"""A user without a home, as in a container, and a locale without letters: it runs, and says what it does without."""

import json
import os
import pwd
import subprocess
import sys
import types
from pathlib import Path

import pytest
from golden import timeline

from clipcut import user_folders
from clipcut.cli import run
from clipcut.user_folders import user_cache_folder, user_config_folder

HARBOR = Path(__file__).parents[1] / "fixtures" / "media" / "harbor.mp4"
HOMES = [pytest.param(None, id="unset"), pytest.param("", id="empty"), pytest.param("relative", id="relative")]


def live(monkeypatch: pytest.MonkeyPatch, home: str | None, known: str | None) -> None:
    """Have a ``HOME``, and the home that the system knows; None for none."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)

    def entry(uid: int) -> object:
        if known is None:
            raise KeyError(f"getpwuid(): uid not found: {uid}")
        return types.SimpleNamespace(pw_dir=known)

    monkeypatch.setattr(pwd, "getpwuid", entry)


@pytest.mark.parametrize(
    ("home", "known", "found"),
    [
        pytest.param("/home/a", "/home/b", "/home/a", id="said"),
        pytest.param("/", None, "/", id="root"),
        pytest.param(None, "/home/b", "/home/b", id="known"),
        pytest.param("", "/home/b", "/home/b", id="empty-but-known"),
        pytest.param("x/y", "/home/b", "/home/b", id="relative-but-known"),
        pytest.param("", "", None, id="known-to-be-nothing"),
        pytest.param(None, "x", None, id="known-to-be-relative"),
        pytest.param(None, None, None, id="nothing"),
        pytest.param("x/y", None, None, id="relative"),
    ],
)
@pytest.mark.parametrize(
    ("is_mac", "cache", "config"),
    [(False, ".cache", ".config"), (True, "Library/Caches", "Library/Application Support")],
    ids=["linux", "mac"],
)
def test_folders_are_below_a_home_that_is_one(
    monkeypatch: pytest.MonkeyPatch,
    home: str | None,
    known: str | None,
    found: str | None,
    *,
    is_mac: bool,
    cache: str,
    config: str,
) -> None:
    """``HOME`` counts first; what is no absolute path counts as none."""
    live(monkeypatch, home, known)
    monkeypatch.setattr(user_folders, "_IS_MAC", is_mac)

    wanted = [Path(found) / folder / "clipcut" if found is not None else None for folder in (cache, config)]
    assert wanted == [user_cache_folder(), user_config_folder()]


def test_folders_that_are_named_need_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variables of XDG; a relative path there is none, as the rules say."""
    live(monkeypatch, None, None)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", "etc")

    assert (Path("/var/cache/clipcut"), None) == (user_cache_folder(), user_config_folder())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a timeline."""
    document = timeline([{"video_id": "v", "start": 1, "duration": 0.4}], {"v": str(HARBOR)}, path="mix.mp4")
    (tmp_path / "mix.json").write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> set[str]:
    """Name everything in a folder, however deep."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.media
@pytest.mark.parametrize("home", HOMES)
def test_a_render_needs_no_home(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], home: str | None
) -> None:
    """It goes without cache and user's settings, says so with the cure, and makes no cache where it happens to be."""
    live(monkeypatch, home, None)

    assert 0 == run(["render", "mix.json"])

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    said = {line["event"]: line["message"] for line in lines if line["level"] == "warning"}
    assert {"cache.unavailable", "render.no_user_settings"} == said.keys()
    why = {None: "HOME is not set", "": 'HOME is ""', "relative": 'HOME is "relative", which is no absolute path'}[home]
    assert all(why in words and f"knows no home of user {os.getuid()}" in words for words in said.values())
    assert "set HOME or XDG_CACHE_HOME, or name a folder with --cache-dir" in said["cache.unavailable"]
    assert "set HOME or XDG_CONFIG_HOME, or name a file with --config" in said["render.no_user_settings"]
    assert {"mix.json", "mix.mp4", "mix.report.json"} == files(folder)


@pytest.mark.media
@pytest.mark.parametrize(
    ("flags", "events"),
    [
        pytest.param(["--no-cache"], ["render.no_user_settings"], id="no-cache"),
        pytest.param(["--cache-dir", "kept"], ["render.no_user_settings"], id="cache-dir"),
        pytest.param(["--config", "mine.toml"], ["cache.unavailable"], id="config"),
        pytest.param(["--no-cache", "--config", "mine.toml"], [], id="both"),
    ],
)
def test_what_is_named_is_not_missed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    flags: list[str],
    events: list[str],
) -> None:
    """A warning is only for what the render goes without."""
    live(monkeypatch, None, None)
    (folder / "mine.toml").touch()

    assert 0 == run(["render", "mix.json", *flags])

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert events == [line["event"] for line in lines if line["level"] == "warning"]


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize(
    ("command", "words", "warns"),
    [
        pytest.param("config show", "settings file           none", True, id="config-show"),
        pytest.param("config set cut auto", 'cut = "auto" in clipcut.toml', False, id="config-set"),
        pytest.param("cache info", "there is no cache: HOME is", True, id="cache-info"),
        pytest.param("cache info --json", '"path": null', True, id="cache-info-json"),
        pytest.param("cache clear", "there is no cache to clear: HOME is", True, id="cache-clear"),
        pytest.param("check mix.json", "fine, 1 clip", False, id="check"),
        pytest.param("plan mix.json", "1 clip, 12 frames", False, id="plan"),
    ],
)
def test_the_other_commands_need_no_home_either(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    home: str | None,
    command: str,
    words: str,
    warns: bool,
) -> None:
    """What would have been read from there is told to be missing, on stderr."""
    live(monkeypatch, home, None)

    assert 0 == run(command.split())

    out, err = capfd.readouterr()
    assert words in out
    assert warns == err.startswith("warning: no settings of the user's are read, as HOME is")
    assert "bug" not in err
    assert {"mix.json", "clipcut.toml"} >= files(folder)


@pytest.mark.media
@pytest.mark.usefixtures("folder")
def test_doctor_needs_no_home(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A render can do without, so nothing is bad."""
    live(monkeypatch, None, None)

    assert 0 == run(["doctor"])
    assert "ok   cache           none: HOME is not set" in capfd.readouterr().out


@pytest.mark.media
@pytest.mark.skipif(sys.platform != "linux", reason="file names are UTF-8 elsewhere, whatever the locale")
def test_names_need_no_locale(tmp_path: Path) -> None:
    """Where Python was told to know ASCII letters only, other names work all the same."""
    (tmp_path / "hafen-\u00fc.mp4").write_bytes(HARBOR.read_bytes())
    clips = [{"video_id": "v", "start": 1, "duration": 0.4}]
    document = timeline(clips, {"v": "hafen-\u00fc.mp4"}, path="\u00f6.mp4")
    (tmp_path / "\u5341.json").write_text(json.dumps(document), "utf-8")
    environ = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "clipcut", "render", "\u5341.json", "--log-file", "log"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=False)

    assert (0, b"") == (done.returncode, done.stdout)
    assert done.stderr.decode("utf-8").startswith(f"complete: {tmp_path}/\u00f6.mp4")
    assert (tmp_path / "\u00f6.mp4").exists()
