"""Proofs of the settings' layers: what beats what, where a value came from, and every bad value at once."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import SettingsError
from clipcut.options import OPTIONS, Option, PlaceholderLimit
from clipcut.reload_redis import CHANNEL_VARIABLE, URL_VARIABLE
from clipcut.settings import CONFIG_NAME, CONFIG_VARIABLE, Origin, find_config, read_config, resolve_settings
from clipcut.sources.twelvelabs_key import BASE_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE

ROOT = Path(__file__).parent.parent
CWD = Path("/cwd")
CANDIDATES = ("7", "8", "a.prom", "b.prom", "placeholder", "fail", "console", "json", "auto", "encode")


def each(*options: Option) -> list[Any]:
    """Options as parameters, by name."""
    return [pytest.param(option, id=option.name) for option in options]


def good_texts(option: Option) -> tuple[str, str]:
    """Two different texts that an option takes."""
    found = []
    for text in CANDIDATES:
        try:
            option.parse(text)
        except ValueError:
            continue
        found.append(text)
    return found[0], found[1]


def written(path: Path, text: str) -> Path:
    """Write a settings file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def toml(option: Option, text: str) -> str:
    """A line of a settings file."""
    kinds = option.kind if isinstance(option.kind, tuple) else (option.kind,)
    return f'{option.name} = "{text}"\n' if str in kinds else f"{option.name} = {text}\n"


def value_of(option: Option, text: str, base: Path) -> Any:
    """What an option's text stands for, paths starting from a folder."""
    is_word = option.name == "ffmpeg" and "/" not in text
    return str(base / text) if option.is_path and not is_word else option.parse(text)


def mistakes(**layers: Any) -> list[tuple[str, str]]:
    """The mistakes of settings, each with where it is and its words."""
    with pytest.raises(SettingsError) as caught:
        resolve(**layers)
    assert 2 == caught.value.exit_code
    return [(mistake.where, mistake.what) for mistake in caught.value.mistakes]


def resolve(
    flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None, config: Path | None = None
) -> Any:
    """Put some layers together."""
    return resolve_settings(flags or {}, environ or {}, config, CWD)


# Layers


def test_a_rate_may_be_whole_or_not_from_every_layer(tmp_path: Path) -> None:
    """It is kept exactly, and shown as a number."""
    config = written(tmp_path / CONFIG_NAME, "rate_limit = 0.5")

    assert (Fraction(1, 2), 0.5) == (
        resolve(config=config).rate_limit,
        resolve(config=config).described()["rate_limit"]["value"],
    )
    assert 20 == resolve(flags={"rate_limit": "20"}).described()["rate_limit"]["value"]


def test_resolve_settings_when_nothing_is_set() -> None:
    """The defaults are the contract's."""
    settings = resolve()
    assert (4, 2, 3, None, "placeholder", PlaceholderLimit("100%")) == (
        settings.max_parallelism,
        settings.per_video_limit,
        settings.max_retry,
        settings.rate_limit,
        settings.on_missing,
        settings.max_placeholders,
    )
    assert {Origin.DEFAULT} == set(settings.origins.values())
    assert settings.config_path is None


@pytest.mark.parametrize("option", each(*OPTIONS))
def test_resolve_settings_when_default(option: Option) -> None:
    """What no layer has keeps its default, which is known as such."""
    settings = resolve()
    assert option.default == getattr(settings, option.name)
    assert Origin.DEFAULT == settings.origins[option.name]


@pytest.mark.parametrize("option", each(*(option for option in OPTIONS if option.in_file)))
def test_resolve_settings_when_file(option: Option, tmp_path: Path) -> None:
    """The file beats the default, and its paths start from its own folder."""
    _, text = good_texts(option)
    config = written(tmp_path / CONFIG_NAME, toml(option, text))
    settings = resolve(config=config)
    assert value_of(option, text, tmp_path) == getattr(settings, option.name)
    assert Origin.FILE == settings.origins[option.name]
    assert config == settings.config_path


@pytest.mark.parametrize("option", each(*(option for option in OPTIONS if option.in_file and option.env)))
def test_resolve_settings_when_environment(option: Option, tmp_path: Path) -> None:
    """The environment beats the file, and its paths start from the current folder."""
    low, high = good_texts(option)
    settings = resolve(environ={option.env or "": high}, config=written(tmp_path / CONFIG_NAME, toml(option, low)))
    assert value_of(option, high, CWD) == getattr(settings, option.name)
    assert Origin.ENVIRONMENT == settings.origins[option.name]


@pytest.mark.parametrize("option", each(*OPTIONS))
def test_resolve_settings_when_flag(option: Option, tmp_path: Path) -> None:
    """A flag beats everything, and its paths start from the current folder."""
    low, high = good_texts(option)
    environ = {option.env: low} if option.env else {}
    config = written(tmp_path / CONFIG_NAME, toml(option, low) if option.in_file else "")
    settings = resolve({option.name: high}, environ, config)
    assert value_of(option, high, CWD) == getattr(settings, option.name)
    assert Origin.FLAG == settings.origins[option.name]


@pytest.mark.parametrize("option", each(*(option for option in OPTIONS if option.env)))
def test_resolve_settings_when_variable_is_empty(option: Option) -> None:
    """An empty variable counts as unset."""
    settings = resolve(environ={option.env or "": ""})
    assert Origin.DEFAULT == settings.origins[option.name]


def test_resolve_settings_when_layers_are_mixed(tmp_path: Path) -> None:
    """Each option has its own origin."""
    config = written(tmp_path / CONFIG_NAME, 'max_parallelism = 8\nper_video_limit = 3\njob = "night"\n')
    settings = resolve(
        {"max_parallelism": 6, "per_video_limit": None},
        {"RENDER_CLIP_CONCURRENCY": "7", "RENDER_JOB": "day"},
        config,
    )
    assert (6, 3, "day") == (settings.max_parallelism, settings.per_video_limit, settings.job)
    assert (Origin.FLAG, Origin.FILE, Origin.ENVIRONMENT, Origin.DEFAULT) == (
        settings.origins["max_parallelism"],
        settings.origins["per_video_limit"],
        settings.origins["job"],
        settings.origins["on_missing"],
    )


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("out/r.json", "/cwd/out/r.json", id="relative"),
        pytest.param("../r.json", "/cwd/../r.json", id="above"),
        pytest.param("/tmp/r.json", "/tmp/r.json", id="absolute"),  # noqa: S108  a name only
        pytest.param("-", "-", id="stdout"),
    ],
)
def test_resolve_settings_when_path(text: str, path: str) -> None:
    """Paths become absolute; - stays, as it means stdout."""
    assert path == resolve({"report": text}).report
    assert path == resolve(environ={"RENDER_REPORT": text}).report


def test_described_when_layers_are_mixed(tmp_path: Path) -> None:
    """Each value is shown beside its origin, as the report has it."""
    config = written(tmp_path / CONFIG_NAME, 'max_placeholders = "5%"\nwork_dir = "work"\n')
    described = resolve({"max_parallelism": 6}, {"RENDER_ON_MISSING": "fail"}, config).described()
    assert {option.name for option in OPTIONS} == set(described)
    assert {"value": 6, "origin": "flag"} == described["max_parallelism"]
    assert {"value": "fail", "origin": "environment"} == described["on_missing"]
    assert {"value": "5%", "origin": "file"} == described["max_placeholders"]
    assert {"value": str(tmp_path / "work"), "origin": "file"} == described["work_dir"]
    assert {"value": 2, "origin": "default"} == described["per_video_limit"]
    assert {"value": None, "origin": "default"} == described["job"]


# Mistakes


def test_resolve_settings_when_several_are_bad(tmp_path: Path) -> None:
    """Every bad value is reported at once, each under the name that the user gave it."""
    config = written(tmp_path / CONFIG_NAME, 'max_paralelism = 3\njob = 5\nlog_format = "xml"\n')
    found = mistakes(
        flags={"per_video_limit": "0", "max_placeholders": "101%"},
        environ={"RENDER_ON_MISSING": "explode"},
        config=config,
    )
    assert {
        f"{config}: max_paralelism",
        f"{config}: job",
        f"{config}: log_format",
        "--per-video",
        "--max-placeholders",
        "RENDER_ON_MISSING",
    } == {where for where, _ in found}
    assert 6 == len(found)


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        pytest.param("max_parallelism", "0", "1 to 256", id="too few"),
        pytest.param("max_parallelism", "257", "1 to 256", id="too many"),
        pytest.param("max_parallelism", "-1", "1 to 256", id="negative"),
        pytest.param("max_parallelism", "4.0", "whole number", id="decimal"),
        pytest.param("max_parallelism", "four", "whole number", id="word"),
        pytest.param("max_parallelism", "1" * 5000, "1 to 256", id="5000 digits"),
        pytest.param("max_parallelism", "\u0664", "whole number", id="another script's digit"),
        pytest.param("per_video_limit", " 2", "1 to 256", id="blank"),
        pytest.param("max_retry", "101", "0 to 100", id="too many tries"),
        pytest.param("max_retry", "-1", "0 to 100", id="fewer tries than none"),
        pytest.param("rate_limit", "0", "from 0.001", id="no request at all"),
        pytest.param("rate_limit", "1e3", "requests a second", id="exponent"),
        pytest.param("rate_limit", "10001", "to 10000", id="too fast"),
        pytest.param("rate_limit", "nan", "requests a second", id="no number"),
        pytest.param("on_missing", "Fail", "placeholder or fail", id="other case"),
        pytest.param("max_placeholders", "-1", "(3)", id="negative limit"),
        pytest.param("max_placeholders", "5 %", "(5%)", id="blank before the sign"),
        pytest.param("max_placeholders", "100.1%", "at most 100%", id="more than all"),
        pytest.param("max_placeholders", "%", "(5%)", id="sign alone"),
        pytest.param("max_placeholders", "1.5", "(3)", id="a clip and a half"),
        pytest.param("job", "a\nb", "control characters", id="newline"),
        pytest.param("log_format", "xml", "console or json", id="unknown format"),
    ],
)
def test_resolve_settings_when_text_is_bad(name: str, text: str, hint: str) -> None:
    """A flag and a variable are refused alike, with the value and with what to write."""
    (option,) = (option for option in OPTIONS if option.name == name)
    for layers, origin in (({"flags": {name: text}}, option.flag), ({"environ": {option.env: text}}, option.env)):
        ((where, what),) = mistakes(**layers)
        assert origin == where
        assert hint in what
        assert repr(text)[:20] in what


@pytest.mark.parametrize(
    ("line", "name", "hint"),
    [
        pytest.param("max_parallelism = true", "max_parallelism", "without quotes", id="true for a number"),
        pytest.param('max_parallelism = "6"', "max_parallelism", "without quotes", id="text for a number"),
        pytest.param("max_parallelism = 6.0", "max_parallelism", "without quotes", id="decimal for a whole number"),
        pytest.param("max_parallelism = [6]", "max_parallelism", "without quotes", id="list for a number"),
        pytest.param("max_parallelism = 0", "max_parallelism", "1 to 256", id="out of range"),
        pytest.param('rate_limit = "2"', "rate_limit", "without quotes", id="text for a rate"),
        pytest.param("rate_limit = nan", "rate_limit", "requests a second", id="a rate that is no number"),
        pytest.param("job = 5", "job", "in quotes", id="number for a text"),
        pytest.param("job = false", "job", "in quotes", id="false for a text"),
        pytest.param('job = ""', "job", "text", id="empty"),
        pytest.param("max_placeholders = true", "max_placeholders", "in quotes", id="true for a limit"),
        pytest.param("per_video_limits = 2", "per_video_limits", 'did you mean "per_video_limit"', id="unknown key"),
        pytest.param("[render]\njob = 'x'", "render", "unknown key", id="table"),
        pytest.param("max_parallelism = 0x" + "f" * 5000, "max_parallelism", "1 to 256", id="5000 hexadecimal digits"),
    ],
)
def test_resolve_settings_when_file_is_bad(line: str, name: str, hint: str, tmp_path: Path) -> None:
    """Nothing in the file is coerced, and no key is passed over."""
    config = written(tmp_path / CONFIG_NAME, line)
    ((where, what),) = mistakes(config=config)
    assert f"{config}: {name}" == where
    assert hint in what


def test_resolve_settings_when_file_has_a_plain_limit(tmp_path: Path) -> None:
    """A limit of clips may stand in the file as a number."""
    config = written(tmp_path / CONFIG_NAME, "max_placeholders = 3")
    assert PlaceholderLimit("3") == resolve(config=config).max_placeholders


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"max_parallelism = \n", id="no value"),
        pytest.param(b"job = 'a'\njob = 'b'\n", id="key twice"),
        pytest.param(b'{"max_parallelism": 6}', id="JSON"),
        pytest.param(b"job = '\xff'", id="not UTF-8"),
        pytest.param(b"max_parallelism = " + b"1" * 5000, id="5000 digits"),
        pytest.param(b"job = " + b"[" * 5000, id="deep nesting"),
    ],
)
def test_read_config_when_broken(data: bytes, tmp_path: Path) -> None:
    """A file that isn't TOML is a mistake that names the file."""
    config = tmp_path / CONFIG_NAME
    config.write_bytes(data)
    with pytest.raises(SettingsError) as caught:
        read_config(config)
    ((where, what),) = [(mistake.where, mistake.what) for mistake in caught.value.mistakes]
    assert str(config) == where
    assert "can't be read" in what


def test_read_config_when_empty(tmp_path: Path) -> None:
    """An empty file sets nothing."""
    assert {} == read_config(written(tmp_path / CONFIG_NAME, ""))


# Which file


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own settings file, which is there."""
    monkeypatch.setattr("clipcut.settings.user_config_folder", lambda: tmp_path / "user" / "clipcut")
    return written(tmp_path / "user" / "clipcut" / CONFIG_NAME, "")


def test_find_config_when_all_are_there(tmp_path: Path, user_config: Path) -> None:
    """The flag's file is taken, then the variable's, then the one here, then the user's."""
    here, flag, variable = (written(tmp_path / name, "") for name in (CONFIG_NAME, "flag.toml", "variable.toml"))
    environ = {CONFIG_VARIABLE: "variable.toml"}
    assert flag == find_config("flag.toml", environ, tmp_path)
    assert variable == find_config(None, environ, tmp_path)
    assert here == find_config(None, {}, tmp_path)
    assert here == find_config(None, {CONFIG_VARIABLE: ""}, tmp_path)
    here.unlink()
    assert user_config == find_config(None, {}, tmp_path)
    user_config.unlink()
    assert find_config(None, {}, tmp_path) is None


def test_find_config_when_path_is_absolute(tmp_path: Path) -> None:
    """An absolute path is taken as it is."""
    path = written(tmp_path / "other.toml", "")
    assert path == find_config(str(path), {}, CWD)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gone.toml", id="missing"),
        pytest.param(".", id="folder"),
        pytest.param("x" * 5000, id="name too long"),
        pytest.param("a\0b", id="NUL"),
    ],
)
def test_find_config_when_named_file_is_missing(name: str, tmp_path: Path, user_config: Path) -> None:
    """A file that was named must be there; no other is taken instead."""
    written(tmp_path / CONFIG_NAME, "")
    for flag, environ, origin in ((name, {}, "--config"), (None, {CONFIG_VARIABLE: name}, CONFIG_VARIABLE)):
        with pytest.raises(SettingsError) as caught:
            find_config(flag, environ, tmp_path)
        assert [origin] == [mistake.where for mistake in caught.value.mistakes]
        assert str(tmp_path) in str(caught.value)


# Placeholder limits


@pytest.mark.parametrize(
    ("limit", "placeholders", "total", "exceeded"),
    [
        pytest.param("3", 3, 60, False, id="as many as allowed"),
        pytest.param("3", 4, 60, True, id="one more"),
        pytest.param("0", 0, 60, False, id="none allowed, none there"),
        pytest.param("0", 1, 60, True, id="none allowed, one there"),
        pytest.param("5%", 3, 60, False, id="exactly the share"),
        pytest.param("5%", 4, 60, True, id="more than the share"),
        pytest.param("5%", 1, 19, True, id="a share of less than one clip"),
        pytest.param("0%", 1, 100_000, True, id="no share"),
        pytest.param("33.3%", 333, 1000, False, id="decimal share, exact"),
        pytest.param("33.3%", 334, 1000, True, id="decimal share, exceeded"),
        pytest.param("100%", 60, 60, False, id="all"),
    ],
)
def test_placeholder_limit_when(limit: str, placeholders: int, total: int, exceeded: bool) -> None:
    """Only strictly more than the limit fails the render."""
    assert exceeded == PlaceholderLimit(limit).exceeded_by(placeholders, total)


@given(st.integers(0, 100), st.integers(1, 1000), st.integers(0, 1000))
def test_placeholder_limit_when_any_share(percent: int, total: int, placeholders: int) -> None:
    """A share is compared exactly, whatever the numbers."""
    exceeded = PlaceholderLimit(f"{percent}%").exceeded_by(placeholders, total)
    assert (placeholders * 100 > percent * total) == exceeded


# Documents that follow OPTIONS


def test_env_example_when_compared() -> None:
    """.env.example lists exactly the variables that clipcut reads, each once."""
    text = (ROOT / ".env.example").read_text("utf-8")
    listed = re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)
    known = {option.env for option in OPTIONS if option.env} | {CONFIG_VARIABLE, "TRACEPARENT"}
    known |= {BASE_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE, URL_VARIABLE, CHANNEL_VARIABLE}
    assert sorted(known) == sorted(listed)


def test_options_when_compared() -> None:
    """No two options share a name, a flag or a variable."""
    for names in ([o.name for o in OPTIONS], [o.flag for o in OPTIONS], [o.env for o in OPTIONS if o.env]):
        assert len(names) == len(set(names))
