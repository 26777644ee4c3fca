"""No message, log line or report names a private work folder or a file in it, whatever goes wrong with what."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import PACKAGED
from golden import Rendered, render, timeline
from media import make_source
from origin import Origin
from packaged import package, serving

from clipcut.cli import run
from clipcut.errors import Reason, RenderError, SourceError
from clipcut.working import is_working_file, naming, without_folder

FOLDER = Path("/srv/my videos/.clipcut-a1b2c3d4")
PRIVATE = re.compile(r"\.clipcut-|\b[0-9]{6}-[0-9]+\b|video-[0-9]{6}|run-[0-9]{6}|\.piece|\.sound-piece|\.pcm")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("{}/000000-0.piece can't be read", "v.m3u8 can't be read", id="file"),
        pytest.param("{}/video-000000/file: no picture", "v.m3u8: no picture", id="deeper"),
        pytest.param("in {}.", "in v.m3u8.", id="folder"),
        pytest.param("no such file: 'file:{}/000000-0.video'", "no such file: 'v.m3u8'", id="address"),
        pytest.param("to {}/a.mov, from {}/a.pcm.", "to v.m3u8, from v.m3u8.", id="twice"),
        pytest.param("to ./x/.clipcut-a1b2c3d4/a.mov: full", "to v.m3u8: full", id="written-otherwise"),
        pytest.param("to .clipcut-a1b2c3d4/a.mov", "to v.m3u8", id="relative"),
        pytest.param("/srv/my videos/a.mp4 and /srv/.clipcut-zzzzzzzz/b", None, id="others"),
    ],
)
def test_a_private_folder_is_called_otherwise(text: str, wanted: str | None) -> None:
    """Whatever of it is named, and however the path is written; other files keep their names."""
    text = text.replace("{}", str(FOLDER))

    assert (wanted or text) == without_folder(text, FOLDER, "v.m3u8")


def test_failures_name_what_people_know() -> None:
    """A source's by its name, the render's by none; all else of them stays, and other errors pass."""
    with pytest.raises(SourceError, match=r"^v\.m3u8: broken$") as source, naming(FOLDER, "v.m3u8"):
        raise SourceError(Reason.UNDECODABLE, f"{FOLDER}/a.piece: broken", is_passing=True, is_changed=True)
    with pytest.raises(RenderError, match=r"^No room for a working file\.$"), naming(FOLDER, "v.m3u8"):
        raise RenderError(f"No room for {FOLDER}/a.mov.")
    with pytest.raises(ZeroDivisionError), naming(FOLDER, "v.m3u8"):
        raise ZeroDivisionError

    assert (Reason.UNDECODABLE, True, True) == (source.value.reason, source.value.is_passing, source.value.is_changed)


def test_a_working_file_is_known_by_its_folder() -> None:
    """However deep in it."""
    assert is_working_file(FOLDER / "video-000000" / "file")
    assert not is_working_file(FOLDER.parent / "a.mp4")


# From here on with real renders.

FORMS = {
    "local": ("mp4", ()),
    "file": ("mp4", ()),
    "matroska": ("mkv", ("-c", "copy")),
    "stream": ("ts", ("-c", "copy")),
    "fragments": ("mp4", ("-c", "copy", "-movflags", "frag_keyframe+empty_moov")),
    "hls": ("m3u8", ()),
    "hls-fmp4": ("m3u8", ("-hls_segment_type", "fmp4")),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """An origin with one source in every form, each in a folder of its name."""
    folder = tmp_path_factory.mktemp("site")
    source = make_source(folder / "a.mp4", ffmpeg=PACKAGED, source_id=1, seconds=4, pattern=False)
    for form, (suffix, args) in FORMS.items():
        target = folder / "www" / form
        target.mkdir(parents=True)
        if suffix == "m3u8":
            package(source, target, ffmpeg=PACKAGED, seconds=1, args=args, suffix="m4s" if args else "ts")
        else:
            command = [
                PACKAGED,
                "-v",
                "error",
                "-i",
                str(source),
                *(args or ("-c", "copy")),
                str(target / f"a.{suffix}"),
            ]
            subprocess.run(command, check=True)
    with serving(folder / "www") as origin:
        yield origin


def folder_of(site: Origin, form: str) -> Path:
    """Return the folder that a form of the source is in."""
    assert site.folder is not None
    return site.folder / form


def address(form: str, site: Origin) -> str:
    """Return where a form of the source is."""
    suffix = FORMS[form][0]
    name = f"{'index' if suffix == 'm3u8' else 'a'}.{suffix}"
    return str(folder_of(site, form) / name) if form == "local" else f"{site.url}/{form}/{name}"


def failing(folder: Path, url: str, *flags: str, ffmpeg: str = PACKAGED, **more: Any) -> Rendered:
    """Render two clips of a source that something is wrong with."""
    clips = [{"video_id": "v", "start": start, "duration": 0.5} for start in (0.3, 2.2)]
    document = timeline(clips, {"v": url}) | more
    return render(folder, document, "--no-cache", "-v", "--max-retry", "0", *flags, ffmpeg=ffmpeg)


def said_of(folder: Path, rendered: Rendered, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return every line that was said of a render: on stderr, in its log, in its report."""
    report = (folder / "mix.report.json").read_text()
    assert rendered.report["trace_id"] == TRACE
    return ["".join(capfd.readouterr()), (folder / "log").read_text(), report]


def private(lines: Sequence[str]) -> list[str]:
    """Return what of the private work folder is named."""
    return [text[max(0, match.start() - 80) : match.end() + 40] for text in lines for match in PRIVATE.finditer(text)]


@pytest.fixture
def _traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace whose clips' names don't look like files of ours."""
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-01")


def broken_ffmpeg(folder: Path, only: str, words: str) -> Path:
    """Write an FFmpeg that says what is wrong with each working file that it is given, where its command has a word."""
    script = f"""#!/bin/sh
case " $* " in
*" {only} "*)
  for one in "$@"; do case "$one" in
  *.clipcut-*) echo "[in#0 @ 0x55d0c0a8b2c0] [error] Error opening $one: {words}" >&2 ;;
  esac; done
  exit 1 ;;
esac
exec "{PACKAGED}" "$@"
"""
    path = folder / "ffmpeg"
    path.write_text(script)
    path.chmod(0o755)
    return path


@pytest.mark.media
@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("words", ["Invalid data found", "No space left on device"])
@pytest.mark.parametrize("form", FORMS)
def test_what_ffmpeg_says_names_the_source(
    tmp_path: Path, site: Origin, capfd: pytest.CaptureFixture[str], form: str, words: str
) -> None:
    """Its lines have the paths that it was given; placeholder and black fail in the same way here."""
    url = address(form, site)
    rendered = failing(tmp_path, url, ffmpeg=str(broken_ffmpeg(tmp_path, "libx264", words)))

    messages = [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]
    wanted = f"{url}: Error opening {url}: Invalid data found"
    if words.startswith("No space"):
        wanted = "There is no room for working files: Error opening a working file: No space left on device"
    assert 1 == rendered.exit_code
    assert any(wanted in (message or "") for message in messages)  # the other clip may be cancelled before it fails
    assert [] == private(said_of(tmp_path, rendered, capfd))


@pytest.mark.media
@pytest.mark.usefixtures("_traced")
def test_what_ffmpeg_says_of_the_sound_names_no_file_of_ours(
    tmp_path: Path, site: Origin, capfd: pytest.CaptureFixture[str]
) -> None:
    """The render as a whole fails with it."""
    url = address("local", site)
    rendered = failing(tmp_path, url, ffmpeg=str(broken_ffmpeg(tmp_path, "aac", "Invalid argument")))

    assert (1, True) == (rendered.exit_code, "a working file: Invalid argument" in rendered.report["error"])
    assert [] == private(said_of(tmp_path, rendered, capfd))


@pytest.mark.media
@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("form", FORMS)
def test_a_reader_that_ends_names_the_source(
    tmp_path: Path, site: Origin, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """It knows a path only; the warning in the log calls a piece a piece."""
    program = "print('ready', flush=True); input()"
    monkeypatch.setattr("clipcut.ffmpeg.readers.reader_argv", lambda: [sys.executable, "-c", program])
    url = address(form, site)

    rendered = failing(tmp_path, url)

    assert 1 == rendered.exit_code
    messages = [clip["attempts"][0]["message"] for clip in rendered.report["clips"]]
    assert all(
        re.search(r"(a\.\w+|index\.m3u8|(segment|fragment) 0) can't be read: its reader ended with 0", one)
        for one in messages
    )
    lines = said_of(tmp_path, rendered, capfd)
    assert "source.reader_ended" in lines[1]
    assert [] == private(lines)


@pytest.mark.media
@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("form", FORMS)
def test_damaged_media_names_the_source(
    tmp_path: Path, site: Origin, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    """The last two thirds of each file are noise, under all that opens, probes, cuts and decodes it."""
    shutil.copytree(folder_of(site, form), tmp_path / "www" / form)
    for path in (tmp_path / "www" / form).iterdir():
        data = path.read_bytes()
        keep = len(data) if path.suffix == ".m3u8" or path.name.startswith("init") else len(data) // 3
        path.write_bytes(data[:keep] + bytes(n * n % 251 for n in range(len(data) - keep)))
    with serving(tmp_path / "www") as origin:
        rendered = failing(tmp_path, address(form, origin))

    assert rendered.exit_code
    lines = said_of(tmp_path, rendered, capfd)
    assert [] == private(lines)


@pytest.mark.media
@pytest.mark.parametrize("form", [form for form in FORMS if form != "local"])
def test_a_plan_names_no_file_of_ours(
    tmp_path: Path, site: Origin, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """What can't be looked into is called by its address there too."""
    program = "print('ready', flush=True); input()"
    monkeypatch.setattr("clipcut.ffmpeg.readers.reader_argv", lambda: [sys.executable, "-c", program])
    clips = [{"video_id": "v", "start": 1, "duration": 0.5}]
    (tmp_path / "mix.json").write_text(json.dumps(timeline(clips, {"v": address(form, site)}, path="mix.mp4")))

    assert 0 == run(["plan", str(tmp_path / "mix.json"), "--json"])
    assert [] == private(["".join(capfd.readouterr())])
