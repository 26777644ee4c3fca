"""What an operator loads and installs: alert rules, the dashboard, systemd units, the folder of textfiles."""

import contextlib
import functools
import json
import re
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from test_documents import DOCS, EXAMPLES, ROOT, _rows, _section, excerpts

from clipcut.metrics import FAMILIES

RULES = DOCS / "prometheus" / "clipcut.rules.yml"
RULE_TESTS = DOCS / "prometheus" / "clipcut.rules.test.yml"
DASHBOARD: Mapping[str, Any] = json.loads((DOCS / "grafana" / "clipcut.json").read_text())
GUIDE = (DOCS / "observability.md").read_text()
NODE_EXPORTER = shutil.which("prometheus-node-exporter") or shutil.which("node_exporter")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is part of Prometheus")
needs_node_exporter = pytest.mark.skipif(NODE_EXPORTER is None, reason="node_exporter is not here")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")

METRICS: Mapping[str, frozenset[str]] = {
    family.name: frozenset({"le"} if family.kind == "histogram" else {family.label} - {""}) for family in FAMILIES
}
"""Every metric of clipcut, with its labels besides ``timeline``."""
TARGET = frozenset({"instance", "job"})
"""The labels that Prometheus adds to whatever it scrapes."""
KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring"})


def _labels_of(name: str) -> frozenset[str] | None:
    """Return the labels that series of this name have; None if there is no such metric."""
    if name in {"node_textfile_mtime_seconds", "node_textfile_scrape_error"}:
        return TARGET | ({"file"} if name.endswith("mtime_seconds") else set())
    base = name.removesuffix("_bucket")
    if base not in METRICS or (base == "render_clip_duration_ms") != (name != base):
        return None
    return METRICS[base] | TARGET | {"timeline"}


def _mistakes(expression: str) -> list[str]:
    """Return names in a PromQL expression that no metric or none of its metrics has."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', '""', re.sub(r"\[[^\]]*\]", "", expression))
    selectors = re.findall(r"\b([a-z_]\w*)\{([^}]*)\}", bare)
    found = [
        f"{name} has no label {label}"
        for name, matchers in selectors
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
        if label not in (_labels_of(name) or ())
    ]
    bare = re.sub(r"\{[^}]*\}", "", bare)
    lists = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    names = set(re.findall(r"\b[a-z_]\w*\b(?!\s*\()", bare)) - KEYWORDS
    found += [f"there is no metric {name}" for name in names if _labels_of(name) is None]
    known = frozenset().union(*(_labels_of(name) or () for name in names))
    listed = {label.strip() for one in lists for label in one.split(",")}
    return found + [f"no metric here has a label {label}" for label in listed - known]


@functools.cache
def _rules() -> Mapping[str, str]:
    """Return the text of each rule, by the name of its alert."""
    return dict(re.findall(r"- alert: (\w+)\n(.*?)(?=\n\n|\n      - alert|\Z)", RULES.read_text(), re.DOTALL))


def _rule_expressions() -> Iterator[tuple[str, str]]:
    for name, text in _rules().items():
        block = re.search(r" expr: \|\n((?:          .*\n)+)", text)
        line = re.search(r" expr: ([^|\n]+)\n", text)
        match = block or line
        assert match is not None
        yield name, match[1]


def _panel_expressions() -> Iterator[tuple[str, str]]:
    """Yield the queries of the dashboard, with values in place of its variables."""
    variables = {"$timeline": ".*", "$instance": ".*", "$__interval": "1h"}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            yield f"panel{panel['id']}{target['refId']}", expression


def _guide_expressions() -> Iterator[tuple[str, str]]:
    for number, block in enumerate(re.findall(r"```promql\n(.*?)```", GUIDE, re.DOTALL)):
        yield f"guide{number}", block.strip()


EXPRESSIONS = dict([*_rule_expressions(), *_panel_expressions(), *_guide_expressions()])


def _promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr


@needs_promtool
def test_the_rules_are_valid() -> None:
    """Prometheus would load them, with their templates."""
    _promtool("check", "rules", RULES)


@needs_promtool
def test_the_rules_fire_when_they_should_and_only_then() -> None:
    """The tests beside them pass; they say what happens at which moment."""
    _promtool("test", "rules", RULE_TESTS)


def test_every_rule_has_tests_a_severity_and_words() -> None:
    """Each is expected to fire somewhere, tells how urgent it is, what happened and what to do."""
    expected = set(re.findall(r'alertname="(\w+)", alertstate="firing", severity', RULE_TESTS.read_text()))

    assert _rules().keys() == expected
    for text in _rules().values():
        assert re.search(r"severity: (critical|warning)\n", text)
        assert re.search(r'summary: ".*{{ \$labels', text)
        assert 100 < len(text.split("description: >-\n")[1])


def test_the_guide_has_every_rule_metric_and_event() -> None:
    """Its tables are complete, and have nothing else."""
    alerts = {row[0].strip("`"): row[1] for row in _rows(_section(GUIDE, "Alerts"))}
    metrics = {row[0].strip("`"): row for row in _rows(_section(GUIDE, "Metrics"))}
    events = {row[0].strip("`") for row in _rows(_section(GUIDE, "Logs"))}
    code = "".join(path.read_text() for path in (ROOT / "clipcut").rglob("*.py"))
    severities = {name: re.findall(r"severity: (\w+)", text)[0] for name, text in _rules().items()}

    assert severities == alerts
    assert METRICS.keys() == metrics.keys()
    for name, labels in METRICS.items():
        assert labels - {"le"} == {label.strip("` ") for label in metrics[name][2].split(",")} - {""}
    assert set(re.findall(r'"((?:render|clip|source|placeholder|metrics|cache)\.[a-z_]+)"', code)) <= events


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_name_what_there_is(name: str) -> None:
    """Metrics and labels of rules, panels and the guide are clipcut's or node_exporter's."""
    assert [] == _mistakes(EXPRESSIONS[name])


@pytest.mark.parametrize(
    ("expression", "mistake"),
    [
        ("render_clips_total", "there is no metric render_clips_total"),
        ("render_clip_duration_ms", "there is no metric render_clip_duration_ms"),
        ('render_clip_total{reason="dns"}', "render_clip_total has no label reason"),
        ("sum by (le) (render_clip_total)", "no metric here has a label le"),
        ('node_textfile_mtime_seconds{timeline="mix"}', "node_textfile_mtime_seconds has no label timeline"),
    ],
)
def test_wrong_names_are_found(expression: str, mistake: str) -> None:
    """The look at expressions sees what it should."""
    assert [mistake] == _mistakes(expression)


@needs_promtool
def test_every_panel_shows_something(tmp_path: Path) -> None:
    """All queries parse, and find series in what two machines with two jobs each leave while a run is at work."""
    queries = [*_panel_expressions(), *(one for one in _guide_expressions() if not one[1].startswith("absent("))]
    records = [{"record": name, "expr": expression} for name, expression in queries]
    assert not [expression for _, expression in queries if "$" in expression]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": records}]}))
    series = []
    for instance in ("a", "b"):
        of_target = f'instance="{instance}",job="node"'
        mtime = f'node_textfile_mtime_seconds{{file="/textfiles/clipcut-mix.prom",{of_target}}}'
        series.append({"series": mtime, "values": "0+300x36"})
        for timeline in ("mix", "reel"):
            for metric, labels in METRICS.items():
                name = f"{metric}_bucket" if "le" in labels else metric
                for bound in ("10000", "+Inf") if "le" in labels else ("",):
                    given = {"le": bound, "status": "complete", "reason": "timeout"}
                    more = "".join(f',{label}="{given[label]}"' for label in labels)
                    values = {"render_run_started_timestamp_seconds": "1200x36", "render_last_exit_code": "0x36"}
                    growing = "5+5x36" if metric.endswith(("_total", "_ms")) else "600x36"
                    named = f'{name}{{timeline="{timeline}",{of_target}{more}}}'
                    series.append({"series": named, "values": values.get(metric, growing)})
    asked = [  # a count of nothing is nothing
        {"expr": f"count({name}) > bool 0", "eval_time": "2h", "exp_samples": [{"labels": "{}", "value": 1}]}
        for name, _ in queries
    ]
    tests = [{"interval": "5m", "input_series": series, "promql_expr_test": asked}]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(document))

    _promtool("check", "rules", tmp_path / "rules.yml")
    _promtool("test", "rules", tmp_path / "tests.yml")


def test_the_dashboard_can_be_imported() -> None:
    """Grafana asks for a data source, fills the other variables from it, and finds each panel's place."""
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    panels = DASHBOARD["panels"]
    places = {panel["id"]: panel["gridPos"] for panel in panels}

    assert ["datasource", "timeline", "instance"] == list(variables)
    assert ("datasource", "prometheus") == (variables["datasource"]["type"], variables["datasource"]["query"])
    assert "label_values(render_runs_total, timeline)" == variables["timeline"]["query"]["query"]
    assert variables["timeline"]["multi"]
    assert (None, 38) == (DASHBOARD["id"], DASHBOARD["schemaVersion"])
    assert len(panels) == len(places) == len({panel["title"] for panel in panels})
    for panel in panels:
        used = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all({"type": "prometheus", "uid": "${datasource}"} == one for one in used)
        assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]})
        assert panel["description"]
        assert panel["type"] in {"stat", "timeseries"}


def test_no_panels_overlap() -> None:
    """Each lies within the 24 columns, and none on another."""
    for panel in DASHBOARD["panels"]:
        assert 0 <= panel["gridPos"]["x"] < panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in DASHBOARD["panels"]), 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )


def test_the_dashboard_shows_every_metric() -> None:
    """Nothing is measured that nobody would see."""
    shown = " ".join(expression for _, expression in _panel_expressions())

    assert [] == [name for name in METRICS if name not in shown]


@contextlib.contextmanager
def _node_exporter(folder: Path) -> Iterator[str]:
    """Run node_exporter over a folder of textfiles; yield the address of its metrics."""
    assert NODE_EXPORTER is not None
    flags = ["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults", "--collector.textfile"]
    argv = [NODE_EXPORTER, *flags, f"--collector.textfile.directory={folder}"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if match := re.search(r"Listening on.*address=(\S+)", line):
                    yield f"http://{match[1]}/metrics"
                    return
            pytest.fail("node_exporter did not start")
        finally:
            process.terminate()


def _scrape(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310  the address is http, on this machine
        return str(answer.read().decode())


@needs_node_exporter
def test_node_exporter_names_textfiles_as_the_rules_expect(tmp_path: Path) -> None:
    """The rules find a job's textfile by its name; a file that can't be read is an error, and no longer in the list."""
    (tmp_path / "clipcut-nightly-mix.prom").write_text('render_last_exit_code{timeline="nightly-mix"} 0\n')
    with _node_exporter(tmp_path) as address:
        good = _scrape(address)
        (tmp_path / "clipcut-broken.prom").write_text("render_last_exit_code{\n")
        bad = _scrape(address)

    file = re.findall(r'^node_textfile_mtime_seconds{file="(.+)"}', good, re.MULTILINE)
    ways = set(re.findall(r'"file", "(.+?)"', RULES.read_text()))
    assert 1 == len(ways)
    assert ["nightly-mix"] == [re.sub(f"^(?:{way})$", r"\1", file[0]) for way in ways]
    assert all(re.fullmatch(way, file[0]) for way in re.findall(r'file=~"(.+?)"', RULES.read_text()))
    assert 'render_last_exit_code{timeline="nightly-mix"} 0' in good
    assert "node_textfile_scrape_error 0" in good
    assert "node_textfile_scrape_error 1" in bad
    assert "clipcut-broken.prom" not in bad


@pytest.mark.parametrize("set_to", ["/var/lib/text files", "", None], ids=["a-folder", "empty", "unset"])
def test_the_nightly_script_leaves_a_textfile_where_it_is_told_to(tmp_path: Path, set_to: str | None) -> None:
    """Named as the rules expect, with the job's name; without a folder there is none."""
    shutil.copy(EXAMPLES / "nightly.sh", tmp_path)
    (tmp_path / "clipcut").write_text('#!/bin/sh\nfor one in "$@"; do echo "$one"; done\n')
    (tmp_path / "clipcut").chmod(0o755)
    variables = [] if set_to is None else [f"NODE_EXPORTER_TEXTFILES={set_to}"]
    argv = ["env", "-i", f"PATH={tmp_path}:/usr/bin:/bin", *variables, str(tmp_path / "nightly.sh"), "sets/my mix.json"]
    given = subprocess.check_output(argv, text=True).splitlines()

    usual = ["render", "sets/my mix.json", "-q", "--log-format", "json", "--log-file", "nightly.jsonl"]
    more = ["--job", "my mix", "--prom-textfile", "/var/lib/text files/clipcut-my mix.prom"] if set_to else []
    assert [*usual, *more] == given


def _unit() -> list[list[str]]:
    """Return the settings of the example service, each as its name and its value."""
    text = (EXAMPLES / "clipcut-mix.service").read_text().replace("\\\n", "")
    return [line.split("=", 1) for line in text.splitlines() if "=" in line]


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Without a warning, once the paths are those of this machine."""
    program = tmp_path / "venv" / "bin" / "clipcut"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = [tmp_path / name for name in ("clipcut-mix.service", "clipcut-mix.timer")]
    for unit in units:
        unit.write_text((EXAMPLES / unit.name).read_text().replace("/srv/mix", str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_the_unit_can_write_what_its_command_writes() -> None:
    """Its folders are writable, its textfile is named after its job, and the timer is called like it."""
    settings = dict(_unit())
    command = shlex.split(settings["ExecStart"])
    flags = dict(pairwise(command))
    writable = settings["ReadWritePaths"].split()
    textfile = Path(flags["--prom-textfile"])

    assert Path(command[0]).is_absolute()
    assert settings["WorkingDirectory"] in writable
    assert str(textfile.parent) in writable
    assert f"clipcut-{flags['--job']}.prom" == textfile.name
    assert (EXAMPLES / flags["--config"]).exists()
    assert (EXAMPLES / "clipcut-mix.timer").exists()


def test_a_unit_that_is_to_be_reloaded_is_active_while_it_renders() -> None:
    """A oneshot unit is only activating while its command runs, and systemd reloads none that isn't active."""
    settings = dict(_unit())

    assert "/bin/kill -HUP $MAINPID" == settings["ExecReload"]
    assert "exec" == settings["Type"]
    assert "mixed" == settings["KillMode"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not here")
def test_the_guides_jq_examples_find_what_they_should(tmp_path: Path) -> None:
    """They are run on the log that the guide to cron shows, with a few lines more."""
    shown = excerpts.excerpts((DOCS / "cron-and-ci.md").read_text())["log"]
    clip = {"trace_id": "0123", "job": "mix", "video_id": "lost", "clip": "gone", "event": "clip.retry"}
    more = [
        clip | {"reason": "http_5xx", "timestamp": "2026-01-05T04:15:00.3Z", "level": "info"},
        clip | {"reason": "timeout", "timestamp": "2026-01-05T04:15:00.4Z", "level": "info"},
        clip | {"reason": "timeout", "timestamp": "2026-01-05T04:15:00.5Z", "level": "info"},
    ]
    (tmp_path / "nightly.jsonl").write_text(shown + "".join(json.dumps(line) + "\n" for line in more))
    commands = re.findall(r"<!-- jq: \S+ -->\n```sh\n(.*?)\n```", GUIDE, re.DOTALL)
    said = [subprocess.check_output(["sh", "-ec", command], cwd=tmp_path, text=True) for command in commands]

    assert [
        "2026-01-05T04:15:00.701377Z missing_source degraded 3 517 ms, 1 of 3 placeholders\n",
        "gone lost fallback-placeholder missing_file there is no file fixtures/media/lost-on-the-way.mp4\n",
        "gone 323 ms\n",
        "2 lost timeout\n1 lost http_5xx\n",
        "render.started\nclip.finished\nrender.completed\n",
    ] == said
