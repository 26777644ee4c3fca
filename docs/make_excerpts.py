"""Put real excerpts into the documents: parts of a report and a log, what the examples' commands print, the examples.

    python docs/make_excerpts.py

Renders ``fixtures/missing_source.json`` into a temporary folder. What differs from run to run and from machine to
machine (times, versions, sizes, folders) is replaced by constants, so a second run changes nothing.

Places in a document that are filled:

- a code block between ``<!-- excerpt: report -->`` or ``<!-- excerpt: log -->`` and ``<!-- end -->``;
- a ``console`` block after ``<!-- run -->``: its commands are run beside the document's own examples;
- a block after ``<!-- file: NAME -->``, if ``docs/examples`` has such a file.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from clipcut.cli import run

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("timeline.md", "cron-and-ci.md", "troubleshooting.md")
MEDIA = ("harbor.mp4", "meadow.mp4", "night-train.mp4")
WIDTH = 116
LOG_EVENTS = ("render.started", "clip.finished", "render.completed")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MOMENT = "2026-01-05T04:15:0"
CONSTANTS: Mapping[str, Any] = {
    "ffmpeg": "7.0.2-static",
    "av": "14.4.0",
    "started_at": f"{MOMENT}0.184Z",
    "elapsed_ms": 517,
    "bytes": 110617,
    "parallel_slot": 1,
    "peak_parallelism": 3,
    "peak_per_video": 2,
    "avg_duration_ms": 345,
    "p50_duration_ms": 323,
    "p95_duration_ms": 427,
    "max_duration_ms": 427,
    "duration_ms": 323,
    "picture_hash": "9f2c6a0d47b1e8355e0b7d92c4a1f368",
    "sound_hash": "3b81d5f7026ce9a4180f6c2ad97e53b4",
}
ATTEMPT_MS = {"local": 53, "placeholder": 270}
EVENT_TIMES = {"render.started": "0.184211", "clip.finished": "0.560804", "render.completed": "0.701377"}

_FILE = re.compile(r"<!-- file: (?P<name>\S+) -->\n```(?P<kind>\w*)\n(?P<body>.*?)```\n", re.DOTALL)
_RUN = re.compile(r"<!-- run -->\n```console\n(?P<body>.*?)```\n", re.DOTALL)
_EXCERPT = re.compile(r"<!-- excerpt: (?P<name>\w+) -->\n```json\n(?P<body>.*?)```\n<!-- end -->\n", re.DOTALL)


def written_files(text: str) -> dict[str, str]:
    """Return the files that a document writes out, by name."""
    return {match["name"]: match["body"] for match in _FILE.finditer(text)}


def excerpts(text: str) -> dict[str, str]:
    """Return a document's excerpts, by name."""
    return {match["name"]: match["body"] for match in _EXCERPT.finditer(text)}


def consoles(text: str) -> list[str]:
    """Return a document's ``console`` blocks: commands and what they print."""
    return [match["body"] for match in _RUN.finditer(text)]


def prepare_folder(text: str, folder: Path) -> None:
    """Put a document's files into a folder, and the demo videos beside them."""
    (folder / "media").mkdir(exist_ok=True)
    for name in MEDIA:
        link = folder / "media" / name
        if not link.exists():
            link.symlink_to(ROOT / "fixtures" / "media" / name)
    for name in ("title.png", "song.m4a"):  # enough for commands that only look whether a file is there
        (folder / "media" / name).touch()
    for name, body in written_files(text).items():
        (folder / name).write_text(body)


def replay(console: str, folder: Path) -> str:
    """Run the commands of a ``console`` block in a folder, and return the block as it should be."""
    lines = []
    for command in (line for line in console.splitlines() if line.startswith("$ clipcut ")):
        said = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            run(shlex.split(command)[2:])
        lines += [command, said.getvalue().replace(f"{folder.resolve()}/", "").rstrip("\n")]
    return "\n".join(lines) + "\n"


def _steady(value: Any) -> Any:
    """Replace what differs from run to run, all the way down."""
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if not isinstance(value, dict):
        return value.replace(f"{ROOT}/", "") if isinstance(value, str) else value
    steady = {
        key: CONSTANTS[key] if key in CONSTANTS and not isinstance(item, dict) else _steady(item)
        for key, item in value.items()
    }
    if value.get("method") in ATTEMPT_MS:
        steady["duration_ms"] = ATTEMPT_MS[value["method"]]
    if "timestamp" in value:
        steady["timestamp"] = f"{MOMENT}{EVENT_TIMES[value['event']]}Z"
    return steady


def fresh_render() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Render the case with a missing source; return its report and its log lines, with ``ROOT`` for all folders."""
    with tempfile.TemporaryDirectory(prefix="clipcut-excerpts-") as name:
        folder = Path(name)
        log, output = folder / "log.jsonl", folder / "missing_source.mp4"
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("RENDER_", "CLIPCUT_"))}
        environ |= {"TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01", "PLACEHOLDER_CLIP_PATH": ""}
        environ["XDG_CACHE_HOME"] = str(folder / "cache")  # or a second run would find the first one's clips
        flags = ["-o", str(output), "--log-format", "json", "--log-file", str(log), "-q"]
        clean = mock.patch.dict(os.environ, environ, clear=True)
        with clean, contextlib.chdir(ROOT), contextlib.redirect_stderr(io.StringIO()):
            run(["render", "fixtures/missing_source.json", *flags])
        report = output.with_suffix(".report.json").read_text().replace(f"{folder}/", f"{ROOT}/")
        lines = log.read_text().replace(f"{folder}/", f"{ROOT}/").splitlines()
    return json.loads(report), [json.loads(line) for line in lines]


def steady_report(report: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a report that is shown: all of it, but only the clip that fell back."""
    shown = [clip for clip in report["clips"] if clip["status"] != "success"]
    steady: dict[str, Any] = _steady(report | {"clips": shown})
    return steady


def steady_log(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the log lines that are shown: the begin, the clip that fell back, the end."""
    return [_steady(line) for line in lines if line["event"] in LOG_EVENTS and line.get("clip_status") != "success"]


def compact(value: Any, indent: int = 0) -> str:
    """Write JSON with every object on one line that fits."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, list):
        items = [inner + compact(item, indent + 2) for item in value]
        return "[\n" + ",\n".join(items) + "\n" + " " * indent + "]"
    pairs = [f"{inner}{json.dumps(key)}: {compact(item, indent + 2)}" for key, item in value.items()]
    return "{\n" + ",\n".join(pairs) + "\n" + " " * indent + "}"


def filled(text: str, folder: Path, shown: Mapping[str, str]) -> str:
    """Return a document with all its places filled.

    Args:
        text: The document.
        folder: A folder to run its commands in.
        shown: The excerpts, by name.
    """

    def example(match: re.Match[str]) -> str:
        path = ROOT / "docs" / "examples" / match["name"]
        body = path.read_text() if path.exists() else match["body"]
        return f"<!-- file: {match['name']} -->\n```{match['kind']}\n{body}```\n"

    def excerpt(match: re.Match[str]) -> str:
        return f"<!-- excerpt: {match['name']} -->\n```json\n{shown[match['name']]}```\n<!-- end -->\n"

    prepare_folder(text, folder)
    text = _RUN.sub(lambda match: f"<!-- run -->\n```console\n{replay(match['body'], folder)}```\n", text)
    return _EXCERPT.sub(excerpt, _FILE.sub(example, text))


def changed_documents() -> Iterator[tuple[Path, str]]:
    """Yield each document that has a place to be filled anew, with its new text."""
    report, lines = fresh_render()
    log = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in steady_log(lines))
    shown = {"report": compact(steady_report(report)) + "\n", "log": log}
    for name in DOCUMENTS:
        path = ROOT / "docs" / name
        with tempfile.TemporaryDirectory(prefix="clipcut-excerpts-") as folder:
            old = path.read_text()
            new = filled(old, Path(folder), shown)
        if new != old:
            yield path, new


if __name__ == "__main__":
    for path, text in changed_documents():
        path.write_text(text)
        sys.stdout.write(f"{path.name}: filled anew\n")
