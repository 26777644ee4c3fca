"""Proofs that the report's schema takes what a render reports, and refuses what would be no report.

Every report of every test is held against it too: see ``conftest.py``.
"""

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import make_cut, make_plan
from jsonschema import Draft202012Validator
from reports import VALIDATOR, file_mistakes, report_mistakes

from clipcut import running
from clipcut.cli import run
from clipcut.errors import Reason
from clipcut.options import OPTIONS
from clipcut.plan import Method, Rung
from clipcut.report import RunFacts, build_report, report_bytes
from clipcut.report_schema import report_schema
from clipcut.results import Attempt, ClipResult, Outcome, OutputFacts, RenderResult, RenderStatus, SpanHashes, Status
from clipcut.settings import Origin, resolve_settings

OK = Attempt(method=Method.REMOTE, outcome=Outcome.OK)
GONE = Attempt(method=Method.REMOTE, outcome=Outcome.FAILED, reason=Reason.HTTP_404, message="it is gone", retries=1)
KNOWN = Attempt(method=Method.REMOTE, outcome=Outcome.SKIPPED, reason=Reason.HTTP_404, message="it is gone")
COPY = Attempt(method=Method.LOCAL, outcome=Outcome.OK)
BLACK = Attempt(method=Method.PLACEHOLDER, outcome=Outcome.OK)
LADDER = (Rung(Method.REMOTE, "https://cdn.example/v"), Rung(Method.LOCAL, "/v.mp4"), Rung(Method.PLACEHOLDER))
FATES = [
    (Status.SUCCESS, (OK,)),
    (Status.FALLBACK_LOCAL, (GONE, COPY)),
    (Status.FALLBACK_PLACEHOLDER, (KNOWN, BLACK)),
]
FACTS = RunFacts(
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    job="night",
    timeline_name="mix.json",
    timeline_data=b"{}",
    started_at=dt.datetime(2026, 1, 5, tzinfo=dt.UTC),
)


def make_report(status: RenderStatus, exit_code: int, *fates: tuple[Status, tuple[Attempt, ...]]) -> dict[str, Any]:
    """Make a report of a render that ended in a certain way, as a reader has it."""
    plan = make_plan(*["v"] * len(fates), ladder=LADDER)
    is_done = status in (RenderStatus.COMPLETE, RenderStatus.DEGRADED)
    clips = tuple(
        ClipResult(
            edit=edit,
            status=fate,
            attempts=attempts,
            parallel_slot=0 if attempts else None,
            cut=(make_cut(edit, attempts[-1].method),) if attempts and attempts[-1].outcome is Outcome.OK else (),
        )
        for edit, (fate, attempts) in zip(plan.edits, fates, strict=True)
    )
    hashes = tuple(SpanHashes("0" * 32, "1" * 32) for _ in clips)
    result = RenderResult(
        status=status,
        exit_code=exit_code,
        error=None if is_done else "No.",
        clips=clips,
        output=OutputFacts(Path("/mix.mp4"), 1000, plan.frames, float(plan.seconds), hashes) if is_done else None,
        ffmpeg="7.0.2" if is_done else None,
        peak_parallelism=1,
        peak_per_video=1,
        elapsed_ms=5,
    )
    settings = resolve_settings({"rate_limit": "2.5"}, {"RENDER_JOB": "night"}, None, Path("/cwd"))
    report: dict[str, Any] = json.loads(report_bytes(build_report(result, plan, settings, FACTS)))
    return report


COMPLETE = make_report(RenderStatus.COMPLETE, 0, *FATES[:2])
DEGRADED = make_report(RenderStatus.DEGRADED, 3, *FATES)
FAILED = make_report(RenderStatus.FAILED, 1, (Status.FAILED, (GONE,)), (Status.CANCELLED, ()))


def changed(report: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a report with one value changed; ``path`` is as in ``clips.0.status``."""
    copied: Any = copy.deepcopy(dict(report))
    inner = copied
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return copied  # type: ignore[no-any-return]


def objects(value: Any, where: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a report, itself included, with its path."""
    if isinstance(value, dict):
        yield where, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from objects(item, f"{where}.{key}")


# What it takes


def test_report_schema_when_checked_itself() -> None:
    """It is a schema of draft 2020-12."""
    Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("report", [COMPLETE, DEGRADED, FAILED], ids=["complete", "degraded", "failed"])
def test_report_schema_when_a_render_ended(report: dict[str, Any]) -> None:
    """Each way to end has its report."""
    assert [] == report_mistakes(report)


@pytest.mark.parametrize("exit_code", [129, 130, 143])
def test_report_schema_when_a_signal_ended_it(exit_code: int) -> None:
    """Each of the three signals has its exit code."""
    report = make_report(RenderStatus.INTERRUPTED, exit_code, FATES[0], (Status.CANCELLED, ()))

    assert [] == report_mistakes(report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("clips.0.parallel_slot", None, id="no-slot"),
        pytest.param("clips.0.label", "the chorus", id="label"),
        pytest.param("clips.0.start", 12.5, id="decimal-start"),
        pytest.param("clips.0.attempts", [], id="no-attempt"),
        pytest.param("clips.0.used.start_timecode", "01:00:00;02", id="timecode"),
        pytest.param("clips.0.used.frames", None, id="no-frames"),
        pytest.param("clips.0.used.fps", "30000/1001", id="fps"),
        pytest.param(
            "clips.0.used",
            {"method": "local", "location": "/a.png", "fps": None, "start_timecode": None, "frames": None},
            id="still",
        ),
        pytest.param("config.rate_limit.value", 2, id="whole-rate"),
        pytest.param("config.rate_limit.value", None, id="no-rate"),
        pytest.param("config.max_placeholders.value", "5%", id="share"),
        *(pytest.param("config.max_parallelism.origin", str(origin), id=str(origin)) for origin in Origin),
    ],
)
def test_report_schema_when_a_value_may_be(path: str, value: Any) -> None:
    """What the contract allows beside what these reports have."""
    assert [] == report_mistakes(changed(COMPLETE, path, value))


def test_report_schema_when_a_clip_was_cached() -> None:
    """It has no slot then."""
    cached = changed(COMPLETE, "clips.0.cached", True)

    assert VALIDATOR.is_valid(changed(cached, "clips.0.parallel_slot", None))
    assert not VALIDATOR.is_valid(cached)


def test_report_schema_when_compared_with_the_settings() -> None:
    """``config`` has every setting, and no other; every layer may be an origin."""
    config = report_schema()["properties"]["config"]

    assert [option.name for option in OPTIONS] == config["required"] == list(config["properties"])
    assert {*Origin} == {*config["properties"]["job"]["properties"]["origin"]["enum"]}


# What it refuses


@pytest.mark.parametrize("report", [COMPLETE, DEGRADED, FAILED], ids=["complete", "degraded", "failed"])
def test_report_schema_when_a_key_is_missing_or_unknown(report: dict[str, Any]) -> None:
    """Every key of every object is required, and no other is allowed."""
    copied = copy.deepcopy(report)
    passed = []
    for where, inner in objects(copied):
        for key in list(inner):
            value = inner.pop(key)
            passed += [f"{where} without {key}"] if VALIDATOR.is_valid(copied) else []
            inner[key] = value
        inner["unknown"] = 1
        passed += [f"{where} with another key"] if VALIDATOR.is_valid(copied) else []
        del inner["unknown"]

    assert [] == passed
    assert [] == report_mistakes(copied)


def values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a report that has no others in it, with its path."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from values(item, f"{path}.{key}" if path else str(key))
    if not isinstance(value, dict | list):
        yield path, value


def test_report_schema_when_a_value_has_another_kind() -> None:
    """A text is no number, a number no text, a count is not negative; null is only where the contract has it."""
    nullable = {"label", "parallel_slot", "message", "ffmpeg", "start_timecode"} | {
        o.name for o in OPTIONS if o.default is None
    }
    fractions = {option.name for option in OPTIONS if option.kind == (int, float)}
    passed = []
    for path, value in values(DEGRADED):
        name = path.removesuffix(".value").rpartition(".")[2]
        wrong: list[Any] = [[], {}, True, *([] if name in nullable or value is None else [None])]
        wrong += ["1", -1] if isinstance(value, int | float) else [] if name in fractions else [1.5]
        if path.endswith("cached"):
            wrong = [0, None, "false"]
        passed += [(path, bad) for bad in wrong if VALIDATOR.is_valid(changed(DEGRADED, path, bad))]

    assert [] == passed


@pytest.mark.parametrize(
    ("report", "path", "value"),
    [
        pytest.param(COMPLETE, "version", 2, id="version"),
        pytest.param(COMPLETE, "status", "fine", id="unknown-status"),
        pytest.param(COMPLETE, "exit_code", 3, id="complete-3"),
        pytest.param(COMPLETE, "exit_code", 130, id="complete-130"),
        pytest.param(DEGRADED, "exit_code", 0, id="degraded-0"),
        pytest.param(FAILED, "exit_code", 2, id="failed-2"),
        pytest.param(FAILED, "exit_code", 130, id="failed-130"),
        pytest.param(FAILED, "status", "interrupted", id="interrupted-1"),
        pytest.param(COMPLETE, "output", None, id="complete-without-output"),
        pytest.param(DEGRADED, "output", None, id="degraded-without-output"),
        pytest.param(FAILED, "output", COMPLETE["output"], id="failed-with-output"),
        pytest.param(COMPLETE, "error", "No.", id="complete-with-error"),
        pytest.param(FAILED, "error", None, id="failed-without-error"),
        pytest.param(COMPLETE, "clip_stats.placeholder_tasks", 1, id="complete-with-placeholder"),
        pytest.param(DEGRADED, "clip_stats.placeholder_tasks", 0, id="degraded-without-placeholder"),
        pytest.param(DEGRADED, "clip_stats.failed_tasks", 1, id="degraded-with-failed"),
        pytest.param(COMPLETE, "clip_stats.cancelled_tasks", 1, id="complete-with-cancelled"),
        pytest.param(COMPLETE, "clip_stats.retries", 0.5, id="half-a-retry"),
        pytest.param(COMPLETE, "trace_id", "4BF92F3577B34DA6A3CE929D0E0E4736", id="trace-in-capitals"),
        pytest.param(COMPLETE, "trace_id", "4bf9", id="short-trace"),
        pytest.param(COMPLETE, "timeline.sha256", "0" * 63, id="short-hash"),
        pytest.param(COMPLETE, "started_at", "2026-01-05T00:00:00.000+00:00", id="moment-with-offset"),
        pytest.param(COMPLETE, "started_at", "2026-01-05T00:00:00Z", id="moment-without-milliseconds"),
        pytest.param(COMPLETE, "config.max_parallelism.value", None, id="no-parallelism"),
        pytest.param(COMPLETE, "config.max_parallelism.value", 4.5, id="decimal-parallelism"),
        pytest.param(COMPLETE, "config.job.origin", "reload", id="unknown-origin"),
        pytest.param(COMPLETE, "clips", [], id="no-clips"),
        pytest.param(COMPLETE, "clips.0.id", "a/b", id="bad-id"),
        pytest.param(COMPLETE, "clips.0.status", "fallback", id="unknown-clip-status"),
        pytest.param(COMPLETE, "clips.0.fallback_reason", "http_404", id="success-with-reason"),
        pytest.param(COMPLETE, "clips.1.fallback_reason", None, id="fallback-without-reason"),
        pytest.param(COMPLETE, "clips.1.fallback_reason", "http_418", id="unknown-reason"),
        pytest.param(COMPLETE, "clips.0.used", None, id="success-of-nothing"),
        pytest.param(DEGRADED, "clips.1.used", None, id="fallback-of-nothing"),
        pytest.param(DEGRADED, "clips.2.used", COMPLETE["clips"][0]["used"], id="placeholder-of-something"),
        pytest.param(FAILED, "clips.0.used", COMPLETE["clips"][0]["used"], id="failed-with-something"),
        pytest.param(COMPLETE, "clips.0.used.method", "placeholder", id="used-placeholder"),
        pytest.param(COMPLETE, "clips.0.used.fps", None, id="frames-without-rate"),
        pytest.param(COMPLETE, "clips.0.used.fps", "0", id="no-rate"),
        pytest.param(COMPLETE, "clips.0.used.fps", "29.97", id="decimal-rate"),
        pytest.param(COMPLETE, "clips.0.used.start_timecode", "1:00:00:00", id="short-timecode"),
        pytest.param(COMPLETE, "clips.0.used.start_timecode", "01:60:00:00", id="no-minute"),
        pytest.param(COMPLETE, "clips.0.used.frames.end", 0, id="no-frame"),
        pytest.param(COMPLETE, "clips.0.attempts.0.method", "cache", id="unknown-method"),
        pytest.param(COMPLETE, "clips.0.attempts.0.outcome", "fine", id="unknown-outcome"),
        pytest.param(COMPLETE, "clips.0.attempts.0.reason", "disk", id="ok-with-reason"),
        pytest.param(COMPLETE, "clips.0.attempts.0.message", "No.", id="ok-with-message"),
        pytest.param(COMPLETE, "clips.1.attempts.0.reason", None, id="failed-without-reason"),
        pytest.param(DEGRADED, "clips.2.attempts.0.reason", None, id="skipped-without-reason"),
        pytest.param(COMPLETE, "clips.1.attempts.0.outcome", "cancelled", id="cancelled-with-reason"),
    ],
)
def test_report_schema_when_a_rule_is_broken(report: dict[str, Any], path: str, value: Any) -> None:
    """Each rule can fail, by itself."""
    assert [] == report_mistakes(report)
    assert not VALIDATOR.is_valid(changed(report, path, value))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        pytest.param("clip_stats.total_tasks", 4, "don't add up", id="sum"),
        pytest.param("clips.1.index", 2, "timeline order", id="order"),
        pytest.param("clips.1.start_frame", 31, "tile", id="gap"),
    ],
)
def test_report_mistakes_when_no_schema_can_say_it(path: str, value: Any, words: str) -> None:
    """The tests' own check knows what the schema leaves open."""
    report = changed(DEGRADED, path, value)

    assert VALIDATOR.is_valid(report)
    assert words in " ".join(report_mistakes(report))


# That it is used


def test_wrong_reports_are_noticed_when_a_render_makes_one(wrong_reports: list[str], tmp_path: Path) -> None:
    """In this process and in a folder: what the fixtures of all tests rest on."""
    plan = make_plan("v", ladder=LADDER)
    settings = resolve_settings({}, {}, None, tmp_path)
    result = RenderResult(
        status=RenderStatus.COMPLETE,
        exit_code=1,
        error=None,
        clips=(ClipResult(edit=plan.edits[0], status=Status.SUCCESS, attempts=(OK,)),),
        output=None,
        ffmpeg=None,
        peak_parallelism=1,
        peak_per_video=1,
        elapsed_ms=0,
    )
    build: Callable[..., dict[str, Any]] = vars(running)["build_report"]
    (tmp_path / "mix.report.json").write_bytes(report_bytes(build(result, plan, settings, FACTS)))

    noticed, left = list(wrong_reports), file_mistakes(tmp_path)
    wrong_reports.clear()
    (tmp_path / "mix.report.json").unlink()
    wrong = ("$.exit_code", "$.output", "$.clips[0].picture_hash", "$.clips[0].sound_hash", "$.clips[0].used")
    assert len(wrong) == len(noticed) == len(left)
    assert [] == [what for what in left if not any(where in what for where in wrong)]


def test_schema_prints_the_reports(capfd: pytest.CaptureFixture[str]) -> None:
    """The schema is JSON on stdout, and nothing else is."""
    assert 0 == run(["schema", "report"])
    assert report_schema() == json.loads(capfd.readouterr().out)


def test_schema_when_there_is_no_such_document(capfd: pytest.CaptureFixture[str]) -> None:
    """The message names those that there are."""
    assert 2 == run(["schema", "reports"])
    assert 'reports: write timeline or report; did you mean "report"?' in capfd.readouterr().err
