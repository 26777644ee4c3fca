"""Reports as tests read them: held against the schema, whoever wrote them."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from clipcut.report_schema import report_schema

VALIDATOR = Draft202012Validator(report_schema())


def report_mistakes(report: Any) -> list[str]:
    """Name what is wrong with a report: the schema's complaints, and sums that no schema can check."""
    found = [f"{error.json_path}: {error.message[:300]}" for error in VALIDATOR.iter_errors(report)]
    if found:
        return found
    stats, clips = report["clip_stats"], report["clips"]
    ends = ("success", "fallback_local", "placeholder", "failed", "cancelled")
    if not stats["total_tasks"] == len(clips) == sum(stats[f"{end}_tasks"] for end in ends):
        found.append("$.clip_stats: the counts don't add up")
    if [clip["index"] for clip in clips] != list(range(len(clips))):
        found.append("$.clips: they aren't in timeline order")
    starts = [clip["start_frame"] + clip["frames"] for clip in clips]
    if [0, *starts[:-1]] != [clip["start_frame"] for clip in clips]:
        found.append("$.clips: their slots don't tile the output")
    return found


def parse_report(text: str) -> dict[str, Any]:
    """Read a report and assert that it is a valid one."""
    report: dict[str, Any] = json.loads(text)
    assert [] == report_mistakes(report)
    return report


def read_report(path: Path) -> dict[str, Any]:
    """Read a report's file and assert that it is a valid one."""
    return parse_report(path.read_text("utf-8"))


def file_mistakes(folder: Path) -> list[str]:
    """Name what is wrong with the reports that lie in a folder, however deep."""
    found = []
    for path in sorted(folder.rglob("*.report.json")):
        if path.is_file():
            found += [f"{path}: {what}" for what in report_mistakes(json.loads(path.read_bytes()))]
    return found
