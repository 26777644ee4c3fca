"""What ``docs/`` says is so: its examples are rendered, its commands run, its lists held against the program's."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from reports import VALIDATOR, read_report

from clipcut.cli import run
from clipcut.errors import Reason
from clipcut.files import lock_output
from clipcut.jsonio import load_timeline
from clipcut.options import OPTIONS
from clipcut.plan import build_plan
from clipcut.results import Outcome, Status
from clipcut.schema import timeline_schema
from clipcut.settings import resolve_settings
from clipcut.smart import Why
from clipcut.timeline import AudioProfile, Clip, Output, Soundtrack, VideoProfile

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
GUIDE = (DOCS / "timeline.md").read_text()
CRON = (DOCS / "cron-and-ci.md").read_text()
COPYING = (DOCS / "copying.md").read_text()
TROUBLE = (DOCS / "troubleshooting.md").read_text()
ENGLISH = (ROOT / "README.md").read_text()
CHINESE = (DOCS / "README.zh-CN.md").read_text()
NETWORK_ONLY = {
    *(reason for reason in Reason if reason.startswith("http_")),
    *(Reason.TIMEOUT, Reason.CONNECTION, Reason.TLS, Reason.DNS, Reason.BAD_PLAYLIST, Reason.TRUNCATED),
    *(Reason.NOT_READY, Reason.TOO_LARGE),
}


def _load_excerpts() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_excerpts", DOCS / "make_excerpts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


excerpts = _load_excerpts()
FILES: Mapping[str, str] = excerpts.written_files(GUIDE)
GOOD = [name for name, body in FILES.items() if '"mix.mp4"' not in body and '"clips": []' not in body]


def _section(text: str, title: str) -> str:
    """Return what stands under a heading of the second level."""
    return text.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of a table's rows, the header's and the ruler's left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for line, before in zip(lines, ["", *lines], strict=False):
        if "|---" not in line and before and line != lines[0]:
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory, packaged: str) -> Path:
    """The media that the guide's examples use, in ``media`` of a folder."""
    folder = tmp_path_factory.mktemp("guide")
    excerpts.prepare_folder(GUIDE, folder)
    base = [packaged, "-v", "error", "-y"]
    picture = ["-f", "lavfi", "-i", "testsrc2=s=320x180:d=1", "-frames:v", "1", str(folder / "media" / "title.png")]
    song = ["-i", str(ROOT / "fixtures" / "media" / "harbor.mp4"), "-vn", "-t", "5", "-c", "copy"]
    subprocess.run([*base, *picture], check=True)
    subprocess.run([*base, *song, str(folder / "media" / "song.m4a")], check=True)
    return folder


def _small(document: dict[str, Any]) -> dict[str, Any]:
    """Make an example cheap to render: a quarter of its size, the fastest preset."""
    output = document["output"]
    for side, default in (("width", 1280), ("height", 720)):
        output[side] = max(16, output.get(side, default) // 8 * 2)
    output.setdefault("video", {})["preset"] = "ultrafast"
    return document


@pytest.mark.media
@pytest.mark.parametrize("name", GOOD)
def test_every_example_of_the_guide_is_rendered(media: Path, name: str) -> None:
    """Each timeline becomes a complete video with exactly its frames."""
    (media / name).write_text(json.dumps(_small(json.loads(FILES[name]))))
    plan = build_plan(load_timeline(FILES[name].encode()), media)
    path = media / str(plan.output.path)

    assert 0 == run(["render", str(media / name), "-q", "--log-file", str(media / "log")])
    report = read_report(path.with_suffix(".report.json"))
    assert ("complete", plan.frames) == (report["status"], report["output"]["frames"])
    expected = {"third-rung": ("fallback-local", "missing_file", 3)}
    assert [expected.get(clip["id"], ("success", None, 1)) for clip in report["clips"]] == [
        (clip["status"], clip["fallback_reason"], len(clip["attempts"])) for clip in report["clips"]
    ]


def test_the_guide_has_examples_of_both_kinds() -> None:
    """Those that are rendered, and those that show mistakes."""
    assert {"mistakes.json", "too-short.json", "not-json.json"} == FILES.keys() - set(GOOD)
    assert 9 <= len(GOOD)


@pytest.mark.parametrize("number", range(len(excerpts.consoles(GUIDE))))
def test_the_guides_commands_print_what_it_shows(tmp_path: Path, number: int) -> None:
    """Each ``console`` block is run again; ``docs/make_excerpts.py`` writes them anew."""
    excerpts.prepare_folder(GUIDE, tmp_path)
    console = excerpts.consoles(GUIDE)[number]

    assert excerpts.replay(console, tmp_path) == console


def _schema_fields(schema: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every field that a JSON Schema describes, with its path as the guide writes it."""
    for kind in (schema, *schema.get("anyOf", ())):
        inner = {f"{where}.{key}" if where else key: field for key, field in kind.get("properties", {}).items()}
        if where == "sources":
            inner["sources.NAME"] = kind["additionalProperties"]
        for path, field in inner.items():
            yield path, field
            yield from _schema_fields(field, path)
        if "properties" in kind.get("items", {}):
            yield from _schema_fields(kind["items"], f"{where}[]")


def _documented() -> dict[str, list[str]]:
    """Return the guide's rows on fields, by path."""
    rows = _rows(_section(GUIDE, "Every field"))
    return {row[0].strip("`"): row for row in rows if re.fullmatch(r"`[\w.\[\]]+`", row[0])}


def test_the_guide_has_every_field_and_no_other() -> None:
    """Its tables are held against the JSON Schema, which is made from the model."""
    assert {path for path, _ in _schema_fields(timeline_schema())} == _documented().keys()


def test_the_guide_has_the_bounds_and_choices_of_every_field() -> None:
    """Smallest, largest and each of a choice stand in the field's row."""
    rows = _documented()
    for path, schema in _schema_fields(timeline_schema()):
        for kind in (schema, *schema.get("anyOf", ())):
            values = [kind[key] for key in ("minimum", "maximum") if key in kind] + kind.get("enum", [])
            words = re.findall(r"[\w.-]+", rows[path][2])
            if path != "output.fps":  # a choice of two kinds: told in words
                assert [] == [value for value in values if str(value) not in words], path


@pytest.mark.parametrize(
    ("where", "model"),
    [
        ("output", Output),
        ("output.video", VideoProfile),
        ("output.audio", AudioProfile),
        ("soundtrack", Soundtrack),
        ("clips[]", Clip),
    ],
    ids=str,
)
def test_the_guide_has_the_default_of_every_field(where: str, model: type[attrs.AttrsInstance]) -> None:
    """Where the model has one that is a number, a word or a flag, the row ends with it."""
    for field in attrs.fields(model):
        if isinstance(field.default, bool):
            assert str(field.default).lower() == _documented()[f"{where}.{field.name}"][3].strip("`")
        elif isinstance(field.default, int | str | Fraction):
            assert str(field.default) == _documented()[f"{where}.{field.name}"][3].strip("`")


def test_the_guides_tables_of_frames_follow_the_rule() -> None:
    """Frame k shows the source frame on display at (k + 1/2) / fps: 60 to 30 and 25 to 30 frames a second."""
    section = _section(GUIDE, "Which frame is shown")
    tables = section.split("| output frame | middle of its time | source frame |")[1:]
    assert 2 == len(tables)
    for table, rate in zip(tables, (60, 25), strict=True):
        rows = re.findall(r"^\| (\d+) \| (\d+/60) s \| (\d+) \|$", table, re.MULTILINE)
        assert 4 <= len(rows)
        for frame, middle, shown in rows:
            assert Fraction(middle) == (int(frame) + Fraction(1, 2)) / 30
            assert int(shown) == Fraction(middle) * rate // 1


def test_the_guides_ways_to_write_a_time_are_one_time() -> None:
    """62.25 s in four ways."""
    rows = list(_rows(_section(GUIDE, "Times")))
    assert 4 == len(rows)
    for written in (row[0].strip("`") for row in rows):
        source = '"sources": {"a": {"url": "a.mp4"}}'
        document = f'{{"version": 1, {source}, "clips": [{{"video_id": "a", "start": {written}, "duration": 1}}]}}'
        assert Fraction("62.25") == load_timeline(document.encode()).clips[0].start


def test_troubleshooting_has_every_reason_and_no_other() -> None:
    """The closed list, once each; those that no local file leads to are marked."""
    rows = {row[0].strip("`"): row[1] for row in _rows(_section(TROUBLE, "Reasons"))}

    assert {str(reason) for reason in Reason} == rows.keys()
    marked = {name for name, what in rows.items() if "*Network only.*" in what}
    assert {str(reason) for reason in NETWORK_ONLY} == marked
    assert [] == [name for name, what in rows.items() if len(what) < 20]


def test_troubleshooting_has_every_status_and_outcome() -> None:
    """The report's words for clips and attempts."""
    section = _section(TROUBLE, "How a clip ended")

    assert {str(status) for status in Status} == {row[0].strip("`") for row in _rows(section)}
    assert [] == [outcome for outcome in Outcome if f"`{outcome}`" not in section]


def _exit_codes(text: str) -> set[int]:
    """Return the exit codes of the first table that has some."""
    numbers: set[int] = set()
    for line in text.splitlines():
        if match := re.match(r"\| (\d[\d, 、]*) \|", line):
            numbers |= {int(number) for number in re.findall(r"\d+", match[1])}
    return numbers


def test_the_page_on_copying_has_every_reason_not_to() -> None:
    """The closed list, once each."""
    assert sorted(Why) == sorted(row[0].strip("`") for row in _rows(_section(COPYING, "What the report says")))


def test_the_documents_agree_on_exit_codes() -> None:
    """Both READMEs and both guides list the same ones."""
    codes = _exit_codes(_section(ENGLISH, "Exit codes"))

    assert {0, 1, 2, 3, 129, 130, 143} <= codes
    assert codes == _exit_codes(_section(TROUBLE, "Exit codes"))
    assert codes == _exit_codes(_section(CRON, "Exit codes"))
    assert codes == _exit_codes(_section(CHINESE, "退出码"))


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link names a file, and every anchor a heading of it."""
    for path in (ROOT / "README.md", *DOCS.glob("*.md")):
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            name, _, anchor = target.partition("#")
            linked = path.parent / name if name else path
            assert linked.exists(), f"{path.name}: {target}"
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE) if anchor else []
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert not anchor or anchor in slugs, f"{path.name}: {target}"


def test_every_row_about_security_names_tests_that_exist() -> None:
    """Or says that there is none yet; and each test of hostile input is in a row."""
    text = (DOCS / "security.md").read_text()
    titles = ["Playlists and media", "Names", "Secrets", "Connections", "Files and processes", "Disk, clock and cron"]
    cells = [row[2] for title in titles for row in _rows(_section(text, title))]
    named = {tuple(test) for cell in cells for test in re.findall(r"`(test_\w+\.py)::(test_\w+)`", cell)}

    assert [] == [cell for cell in cells if cell != "not yet" and not re.fullmatch(r"`[\w.:]+`(, `[\w.:]+`)*", cell)]
    assert [] == [
        f"{file}::{test}" for file, test in sorted(named) if f"def {test}(" not in (ROOT / "tests" / file).read_text()
    ]
    hostile = (ROOT / "tests" / "test_hostile.py").read_text()
    assert set(re.findall(r"^def (test_\w+)", hostile, re.MULTILINE)) <= {test for _, test in named}


def test_the_examples_shown_are_the_files_that_are_tested() -> None:
    """What the guide to cron and CI shows is what lies in ``docs/examples``, and all of it is shown."""
    shown = excerpts.written_files(CRON)

    assert {path.name for path in EXAMPLES.iterdir()} == shown.keys()
    for name, body in shown.items():
        assert (EXAMPLES / name).read_text() == body


def test_the_settings_file_shown_is_one(tmp_path: Path) -> None:
    """The example is read without a mistake, and every key of it counts."""
    settings = resolve_settings({}, {}, EXAMPLES / "clipcut.toml", tmp_path)

    keys = tomllib.loads((EXAMPLES / "clipcut.toml").read_text()).keys()
    assert keys == {name for name, origin in settings.origins.items() if origin == "file"}


def test_every_variable_is_in_the_guide_to_ci() -> None:
    """The table has each variable that clipcut reads, with a value that it takes."""
    values = {row[0].strip("`"): row[1].strip("`") for row in _rows(_section(CRON, "Settings"))}
    variables = {option.env: option for option in OPTIONS if option.env is not None}

    assert {*variables, "CLIPCUT_CONFIG", "TRACEPARENT"} == values.keys()
    for name, option in variables.items():
        option.parse(values[name])


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder as a job has it: the examples, the demo videos, a timeline with a missing source."""
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "media").symlink_to(ROOT / "fixtures" / "media")
    (tmp_path / "clipcut.toml").unlink()
    document = json.loads((ROOT / "fixtures" / "missing_source.json").read_text())
    document["output"] = {"path": "mix.mp4", "width": 160, "height": 90, "video": {"preset": "ultrafast"}}
    (tmp_path / "mix.json").write_text(json.dumps(document))
    (tmp_path / "complete.json").write_text(json.dumps(document | {"clips": document["clips"][::2]}))
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


def _empty_environment(job: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as cron does: hardly any environment, and a PATH that leads to clipcut and the system's tools."""
    bin_folder = job / "bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "clipcut"
    program.write_text(f'#!/bin/sh\nexec env PYTHONPATH={ROOT} {sys.executable} -m clipcut "$@"\n')
    program.chmod(0o755)
    given = [f"{name}={value}" for name, value in variables.items()]
    argv = ["env", "-i", f"PATH={bin_folder}:/usr/bin:/bin", *given, *command]
    return subprocess.run(argv, cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.media
@pytest.mark.parametrize(
    ("timeline", "code", "words"),
    [
        ("complete.json", 0, ""),
        ("mix.json", 3, "mix.json: delivered, with placeholders"),
        ("broken.json", 2, "nothing was touched"),
    ],
    ids=["complete", "placeholders", "mistakes"],
)
def test_the_nightly_script_says_how_it_went(job: Path, timeline: str, code: int, words: str) -> None:
    """The crontab's command, without its lock: silent when all is well, one line more when not; clipcut's exit code."""
    done = _empty_environment(job, str(job / "nightly.sh"), timeline)

    assert (code, bool(words)) == (done.returncode, bool(done.stdout + done.stderr))
    assert words in done.stdout
    assert (code in {0, 3}) == (job / "mix.mp4").exists()


@pytest.mark.media
def test_the_crontabs_command_leaves_the_field_to_a_run_that_is_still_at_work(job: Path) -> None:
    """With the lock taken it ends at once, and nothing is rendered."""
    line = next(line for line in (EXAMPLES / "crontab").read_text().splitlines() if line.startswith("15 4 * * * "))
    command = line.removeprefix("15 4 * * * ").replace("/srv/mix", str(job))

    lock = lock_output(job / "mix.mp4")
    assert lock is not None
    done = _empty_environment(job, "sh", "-c", command)
    lock.give_back()
    assert (4, True) == (done.returncode, "still at work" in done.stdout)
    assert not (job / "mix.mp4").exists()
    assert 3 == _empty_environment(job, "sh", "-c", command).returncode
    assert (job / "mix.mp4").exists()


def _step(name: str, key: str) -> str:
    """Return the commands of a CI example: a ``run: |`` block, or a list under a key."""
    text = (EXAMPLES / name).read_text()
    indent, body = re.search(rf"^( *){key}:[ |]*\n((?:\1 +.*\n)+)", text, re.MULTILINE).groups()  # type: ignore[union-attr]
    return "\n".join(line.removeprefix(indent).strip().removeprefix("- ") for line in body.splitlines())


@pytest.mark.media
@pytest.mark.parametrize(
    ("name", "key", "code", "words"),
    [("github-job.yml", "run", 0, "::warning::mix.mp4 has placeholders"), ("gitlab-job.yml", "script", 3, "fine")],
    ids=["github", "gitlab"],
)
def test_the_ci_jobs_do_what_they_are_said_to_do(job: Path, name: str, key: str, code: int, words: str) -> None:
    """Their commands, in a shell that stops at the first failure; placeholders are a warning."""
    script = f"cd {job}\n{_step(name, key)}\n"
    done = _empty_environment(job, "sh", "-e", "-c", script, RENDER_LOG_FORMAT="json", RENDER_MAX_PLACEHOLDERS="50%")

    assert code == done.returncode
    assert words in done.stdout
    assert [] == [name for name in ("mix.mp4", "mix.report.json", "mix.jsonl") if not (job / name).exists()]


@pytest.mark.media
def test_no_variable_has_to_be_set(job: Path) -> None:
    """Not even PATH or HOME, if clipcut is called by its full path."""
    render = ["-m", "clipcut", "render", str(job / "mix.json"), "-q"]
    done = subprocess.run(["/usr/bin/env", "-i", f"PYTHONPATH={ROOT}", sys.executable, *render], check=False, cwd="/")

    assert 3 == done.returncode


@pytest.fixture(scope="module")
def fresh() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and log of a fresh render of the case with a missing source, as the excerpts show them."""
    report, lines = excerpts.fresh_render()
    return excerpts.steady_report(report), excerpts.steady_log(lines)


def _keys(value: object) -> object:
    """Return a JSON value with its keys and lists, but without its values."""
    if isinstance(value, dict):
        return {key: _keys(item) for key, item in value.items()}
    return [_keys(item) for item in value] if isinstance(value, list) else None


@pytest.mark.media
def test_the_report_shown_has_the_keys_of_a_fresh_one(fresh: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """Key by key, in order, all the way down; and the values that don't depend on the day are the same."""
    shown = json.loads(excerpts.excerpts(TROUBLE)["report"])

    assert json.dumps(_keys(fresh[0])) == json.dumps(_keys(shown))
    assert [] == list(VALIDATOR.iter_errors(shown))
    assert fresh[0]["clips"][0]["fallback_reason"] == shown["clips"][0]["fallback_reason"]


@pytest.mark.media
def test_the_log_lines_shown_have_the_keys_of_fresh_ones(fresh: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    """Line by line; the events are the same."""
    shown = [json.loads(line) for line in excerpts.excerpts(CRON)["log"].splitlines()]

    assert [line["event"] for line in fresh[1]] == [line["event"] for line in shown]
    assert json.dumps(_keys(fresh[1])) == json.dumps(_keys(shown))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not here")
def test_the_jq_examples_find_what_they_should(tmp_path: Path) -> None:
    """They are run on the report and log that the documents show."""
    (tmp_path / "nightly.jsonl").write_text(excerpts.excerpts(CRON)["log"])
    (tmp_path / "mix.report.json").write_text(excerpts.excerpts(TROUBLE)["report"])
    commands = re.findall(r"<!-- jq: \S+ -->\n```sh\n(.*?)\n```", CRON + TROUBLE, re.DOTALL)
    said = [subprocess.check_output(["sh", "-ec", command], cwd=tmp_path, text=True) for command in commands]

    (tmp_path / "mix.report.json").unlink()  # only a part of one: the clip that fell back

    assert ["gone fallback-placeholder missing_file\n", "2 of 3, p95 427 ms\n", "1 s  gone  missing_file\n"] == said


def _code_blocks(text: str) -> list[str]:
    return re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL)


def _without_blocks(text: str) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    """As many headings of each level, and the same blocks of code, to the letter."""
    levels = [re.findall(r"^(#+) ", _without_blocks(text), re.MULTILINE) for text in (ENGLISH, CHINESE)]

    assert levels[0] == levels[1]
    assert _code_blocks(ENGLISH) == _code_blocks(CHINESE)


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"(?<![\w-])--[a-z][a-z-]+", id="flags"),
        pytest.param(r"\b(?:RENDER|CLIPCUT|PLACEHOLDER)_[A-Z_]+\b", id="variables"),
        pytest.param(r"\b(?:fallback|missing|no|short)[-_][a-z_-]+\b|\b(?:undecodable|refused|disk)\b", id="words"),
        pytest.param(r"`((?:output|sources|clips|soundtrack)[\w.\[\]]*)`", id="fields"),
    ],
)
def test_both_readmes_have_the_same_names(pattern: str) -> None:
    """Whatever is typed or read by scripts is the same in both languages."""
    inline = [" ".join(re.findall(r"`[^`\n]+`", _without_blocks(text))) for text in (ENGLISH, CHINESE)]

    assert set(re.findall(pattern, inline[0])) == set(re.findall(pattern, inline[1]))
    assert re.findall(pattern, inline[0])


def test_the_chinese_readme_says_which_version_it_follows() -> None:
    """The version stands in its first lines."""
    from clipcut import __version__  # noqa: PLC0415

    assert f"clipcut {__version__}" in "\n".join(CHINESE.splitlines()[:4])


def test_the_slow_case_has_sixty_clips_of_six_videos() -> None:
    """What the benchmark of latency renders: short clips, each with its line."""
    timeline = load_timeline((ROOT / "fixtures" / "slow_render_case.json").read_bytes())
    lengths = [clip.length for clip in timeline.clips]

    assert (60, 6) == (len(timeline.clips), len({clip.video_id for clip in timeline.clips}))
    assert Fraction(2, 5) <= min(lengths) <= max(lengths) <= Fraction(6, 5)
    assert all(clip.label for clip in timeline.clips)
