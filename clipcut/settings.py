"""Settings with their origins: a flag beats the environment, which beats the file, which beats the default.

``OPTIONS`` is the whole list; flags, variables, file keys, ``.env.example`` and the report all follow it.
"""

import contextlib
import enum
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import Mistake, SettingsError, nearest
from clipcut.files import is_regular_file


class Origin(enum.StrEnum):
    """Which layer a value came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"
    RELOAD_FILE = "reload:file"
    RELOAD_REDIS = "reload:redis"


class OnMissing(enum.StrEnum):
    """What a clip that can't be had does to the render."""

    PLACEHOLDER = "placeholder"
    FAIL = "fail"


@attrs.frozen
class PlaceholderLimit:
    """How many placeholders are still acceptable: ``"3"`` of them, or ``"5%"`` of all clips."""

    text: str

    def exceeded_by(self, placeholders: int, total: int) -> bool:
        """Tell whether there are strictly more of them than allowed."""
        if self.text.endswith("%"):
            return placeholders * 100 > Fraction(self.text[:-1]) * total
        return placeholders > int(self.text)


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(low: Fraction, meaning: str) -> Callable[[str], Fraction]:
    def parse(text: str) -> Fraction:
        if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text, re.ASCII) or Fraction(text) < low:
            raise ValueError(f"write {meaning}, in seconds")
        return Fraction(text)

    return parse


_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*?)B?", text, re.ASCII)
    if match is None or match[2] not in _UNITS:
        raise ValueError("write a number of bytes; 500M and 20G are understood too")
    return int(match[1]) * _UNITS[match[2]]


def _choice(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"write {' or '.join(values)}")
        return text

    return parse


def _limit(text: str) -> PlaceholderLimit:
    if not re.fullmatch(r"[0-9]{1,9}|[0-9]{1,3}(\.[0-9]{1,6})?%", text, re.ASCII) or (
        text.endswith("%") and Fraction(text[:-1]) > 100
    ):
        raise ValueError("write a number of clips (3) or a share of them (5%), at most 100%")
    return PlaceholderLimit(text)


def _rate(text: str) -> Fraction:
    if (
        not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", text, re.ASCII)
        or not Fraction(1, 1000) <= Fraction(text) <= 10000
    ):
        raise ValueError("write how many requests a second one host may get, from 0.001 to 10000")
    return Fraction(text)


def _prom_path(text: str) -> str:
    if not text.isprintable() or not Path(text).name.endswith(".prom"):
        raise ValueError("write a path that ends in .prom, as node_exporter reads no other")
    return text


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("write a text without control characters")
    return text


@attrs.frozen(kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: The field of ``Settings``, the key in the settings file and in the report's ``config``.
        flag: The command line's name for it, for messages.
        env: The environment variable; None if there is none.
        parse: Turns its text into the value, or raises ``ValueError`` with what to write.
        default: The value when no layer has one.
        kind: What a TOML file may hold for it.
        is_path: Relative paths are meant: to the current folder, in the file to the file's folder.
        in_file: Whether the settings file may hold it.
        is_hot: Whether it can change while a render runs.
    """

    name: str
    flag: str
    env: str | None
    parse: Callable[[str], Any]
    default: Any = None
    kind: type | tuple[type, ...] = str
    is_path: bool = False
    in_file: bool = True
    is_hot: bool = False


OPTIONS = (
    Option(
        name="max_parallelism",
        flag="--concurrency",
        env="RENDER_CLIP_CONCURRENCY",
        parse=_integer(1, 256),
        default=4,
        kind=int,
        is_hot=True,
    ),
    Option(
        name="per_video_limit",
        flag="--per-video",
        env="RENDER_CLIP_PER_VIDEO_LIMIT",
        parse=_integer(1, 256),
        default=2,
        kind=int,
        is_hot=True,
    ),
    Option(
        name="max_retry",
        flag="--max-retry",
        env="RENDER_CLIP_MAX_RETRY",
        parse=_integer(0, 100),
        default=3,
        kind=int,
        is_hot=True,
    ),
    Option(name="rate_limit", flag="--rate", env="RENDER_RATE_LIMIT", parse=_rate, kind=(int, float), is_hot=True),
    Option(
        name="on_missing",
        flag="--on-missing",
        env="RENDER_ON_MISSING",
        parse=_choice(*OnMissing),
        default=OnMissing.PLACEHOLDER.value,
    ),
    Option(
        name="max_placeholders",
        flag="--max-placeholders",
        env="RENDER_MAX_PLACEHOLDERS",
        parse=_limit,
        default=PlaceholderLimit("100%"),
        kind=(str, int),
    ),
    Option(
        name="deadline",
        flag="--deadline",
        env="RENDER_DEADLINE",
        parse=_seconds(Fraction(1, 10), "after how long clips become placeholders, at least 0.1"),
        kind=(int, float),
    ),
    Option(
        name="placeholder_asset_path",
        flag="--placeholder",
        env="PLACEHOLDER_CLIP_PATH",
        parse=_text,
        is_path=True,
        is_hot=True,
    ),
    Option(name="report", flag="--report", env="RENDER_REPORT", parse=_text, is_path=True),
    Option(name="prom_textfile", flag="--prom-textfile", env="RENDER_PROM_TEXTFILE", parse=_prom_path, is_path=True),
    Option(name="job", flag="--job", env="RENDER_JOB", parse=_text),
    Option(name="work_dir", flag="--work-dir", env="RENDER_WORK_DIR", parse=_text, is_path=True),
    Option(name="cache_dir", flag="--cache-dir", env="RENDER_CACHE_DIR", parse=_text, is_path=True),
    Option(
        name="cache_size",
        flag="--cache-size",
        env="RENDER_CACHE_SIZE",
        parse=_bytes,
        default=10 * 10**9,
        kind=(int, str),
    ),
    Option(name="ffmpeg", flag="--ffmpeg", env="CLIPCUT_FFMPEG", parse=_text, is_path=True),
    Option(
        name="wait_lock",
        flag="--wait-lock",
        env="RENDER_WAIT_LOCK",
        parse=_seconds(Fraction(0), "how long to wait for another render of the same output"),
        default=Fraction(0),
        kind=(int, float),
    ),
    Option(name="log_format", flag="--log-format", env="RENDER_LOG_FORMAT", parse=_choice("console", "json")),
)
FILE_OPTIONS = {option.name: option for option in OPTIONS if option.in_file}
CONFIG_VARIABLE = "CLIPCUT_CONFIG"
CONFIG_NAME = "clipcut.toml"


@attrs.frozen(kw_only=True)
class Settings:
    """The effective settings of one command; paths are absolute, ``report`` may be ``-``.

    Attributes:
        max_parallelism: Clips at work at once, 1 to 256.
        per_video_limit: Of these, on one ``video_id``.
        max_retry: How often a request that failed in passing is sent again, 0 to 100.
        rate_limit: Requests a second for one host; None for any number.
        on_missing: What a clip that can't be had does.
        max_placeholders: Strictly more placeholders fail the render.
        deadline: After how many seconds unfinished clips become placeholders; None for never.
        placeholder_asset_path: The placeholder clip; None for the packaged one.
        report: Where the report goes; None for beside the output.
        prom_textfile: Where metrics go; None for nowhere.
        job: The name of this render in logs, report and metrics; None for the timeline's file name.
        work_dir: Where the private work folder is made; None for beside the output.
        cache_dir: Where finished clips are kept; None for the user's cache folder.
        cache_size: How many bytes they may have; those that were used longest ago go first.
        ffmpeg: The FFmpeg to use, a path or a name to look up on the PATH; None to look for one.
        wait_lock: How long to wait for another render of the same output, in seconds.
        log_format: ``console`` or ``json``; None decides by the terminal.
        origins: Where each value came from, by name.
        config_path: The settings file that was read; None if there was none.
        in_file: What stood in it, by key.
        candidates: Where a settings file may be, in the order of their weight: the first that is there counts.
    """

    max_parallelism: int
    per_video_limit: int
    max_retry: int
    rate_limit: Fraction | None
    on_missing: str
    max_placeholders: PlaceholderLimit
    deadline: Fraction | None
    placeholder_asset_path: str | None
    report: str | None
    prom_textfile: str | None
    job: str | None
    work_dir: str | None
    cache_dir: str | None
    cache_size: int
    ffmpeg: str | None
    wait_lock: Fraction
    log_format: str | None
    origins: Mapping[str, Origin] = attrs.field(hash=False)
    config_path: Path | None = None
    in_file: Mapping[str, Any] = attrs.field(factory=dict, hash=False)
    candidates: tuple[Path, ...] = ()

    def described(self) -> dict[str, dict[str, object]]:
        """Return each value with its origin, as the report's ``config`` shows it."""
        values = {option.name: getattr(self, option.name) for option in OPTIONS}
        return {name: {"value": plain(value), "origin": self.origins[name]} for name, value in values.items()}


def plain(value: Any) -> object:
    """Return a value as JSON and TOML have it."""
    if isinstance(value, PlaceholderLimit):
        return value.text
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    return value


def find_config(flag: str | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Choose the settings file: the flag's, the variable's, ``./clipcut.toml``, the user's; the first found.

    Raises:
        SettingsError: The flag or variable names a file that isn't there.
    """
    for where, named in (("--config", flag), (CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE) or None)):
        if named is not None:
            path = cwd / named
            if not is_regular_file(path):
                raise SettingsError("The settings can't be used:", [Mistake(where, f"there is no file {path}")])
            return path
    return first_found(config_candidates(None, {}, cwd))


def config_candidates(flag: str | None, environ: Mapping[str, str], cwd: Path) -> tuple[Path, ...]:
    """Return where the settings file may be, in the order of their weight; one that is named is the only one."""
    if named := flag or environ.get(CONFIG_VARIABLE):
        return (cwd / named,)
    import platformdirs  # noqa: PLC0415  a light start

    return cwd / CONFIG_NAME, platformdirs.user_config_path("clipcut") / CONFIG_NAME


def first_found(candidates: Sequence[Path]) -> Path | None:
    """Return the first of these files that is there."""
    return next((path for path in candidates if is_regular_file(path)), None)


def read_config(path: Path) -> dict[str, Any]:
    """Read a settings file as TOML.

    Raises:
        SettingsError: It can't be read, or isn't TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as exc:  # ValueError: not UTF-8, not TOML, or thousands of digits
        raise SettingsError("The settings can't be used:", [Mistake(str(path), f"can't be read: {exc}")]) from exc


class _Resolver:
    """Goes through the layers of every option and collects what is wrong."""

    def __init__(self, flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None, cwd: Path) -> None:
        self.mistakes: list[Mistake] = []
        self._flags = flags
        self._environ = environ
        self._config_path = config
        self._cwd = cwd
        self.in_file = read_config(config) if config is not None else {}
        self.mistakes += unknown_keys(self.in_file, str(config))

    def value(self, option: Option) -> tuple[Any, Origin]:
        """Return the value of the highest layer that has one, and which that is."""
        if (flag := self._flags.get(option.name)) is not None:
            return self._parse(option, option.flag, str(flag), self._cwd), Origin.FLAG
        if option.env is not None and (text := self._environ.get(option.env)):
            return self._parse(option, option.env, text, self._cwd), Origin.ENVIRONMENT
        if option.in_file and option.name in self.in_file and self._config_path is not None:
            where, raw = f"{self._config_path}: {option.name}", self.in_file[option.name]
            return self._noted(where, lambda: written_value(option, raw, self._base)), Origin.FILE
        return option.default, Origin.DEFAULT

    @property
    def _base(self) -> Path:
        assert self._config_path is not None  # noqa: S101  only asked for where there is one
        return self._config_path.parent

    def _parse(self, option: Option, where: str, text: str, base: Path) -> Any:
        return self._noted(where, lambda: _value(option, text, base))

    def _noted(self, where: str, read: Callable[[], Any]) -> Any:
        """Return a value, or note what is wrong with it."""
        try:
            return read()
        except ValueError as exc:
            self.mistakes.append(Mistake(where, str(exc)))
            return None


def _value(option: Option, text: str, base: Path) -> Any:
    try:
        value = option.parse(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} can't be used; {exc}") from exc
    return str(base / value) if stands_for_file(option, value) else value


def stands_for_file(option: Option, value: Any) -> bool:
    """Tell whether a value is a path, and not a word in a path's place: ``-`` for stdout, a name to look up."""
    is_word = (value == "-" and option.name == "report") or (option.name == "ffmpeg" and "/" not in value)
    return option.is_path and not is_word


def written_value(option: Option, raw: object, base: Path) -> Any:
    """Return the value of what stands in a settings file, or in a message of the same form.

    Args:
        option: Which setting.
        raw: What TOML or JSON made of it.
        base: The folder that relative paths start from.

    Raises:
        ValueError: It can't be used; says why, and what to write.
    """
    if isinstance(raw, bool) or not isinstance(raw, option.kind):
        raise ValueError(f"{raw!r} has the wrong type; {_expected(option)}")  # noqa: TRY004  callers collect these
    # a TOML number may have more digits than Python writes out
    return _value(option, str(max(-1, min(raw, 10**12)) if isinstance(raw, int) else raw), base)


def unknown_keys(keys: Iterable[str], where: str) -> list[Mistake]:
    """Return a mistake for each key that no settings file may hold."""
    unknown = [key for key in keys if key not in FILE_OPTIONS]
    return [Mistake(f"{where}: {key}", f"unknown key{nearest(key, FILE_OPTIONS)}") for key in unknown]


def settings_as_known(
    names: Sequence[str], flags: Mapping[str, Any], environ: Mapping[str, str], cwd: Path
) -> dict[str, Any]:
    """Return what some settings are as far as that can be told, whatever is wrong with the others; None if it can't.

    Args:
        names: The settings.
        flags: Values from the command line by option name, and ``config``.
        environ: The environment.
        cwd: The current folder.
    """
    config = None
    with contextlib.suppress(SettingsError):
        config = find_config(flags.get("config"), environ, cwd)
    try:
        resolver = _Resolver(flags, environ, config, cwd)
    except SettingsError:
        resolver = _Resolver(flags, environ, None, cwd)
    return {option.name: resolver.value(option)[0] for option in OPTIONS if option.name in names}


def _expected(option: Option) -> str:
    kinds = option.kind if isinstance(option.kind, tuple) else (option.kind,)
    return "write a text in quotes" if str in kinds else "write a number without quotes"


def resolve_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    config: Path | None,
    cwd: Path,
    candidates: Sequence[Path] = (),
) -> Settings:
    """Put the layers together.

    Args:
        flags: Values from the command line by option name; None where a flag wasn't given.
        environ: The environment; an empty variable counts as unset.
        config: The settings file, from ``find_config``.
        cwd: The current folder.
        candidates: Where a settings file may be; a render watches these.

    Raises:
        SettingsError: With every value that can't be used.
    """
    resolver = _Resolver(flags, environ, config, cwd)
    found = {option.name: resolver.value(option) for option in OPTIONS}
    if resolver.mistakes:
        raise SettingsError("The settings can't be used:", resolver.mistakes)
    origins = {name: origin for name, (_, origin) in found.items()}
    return Settings(
        **{name: value for name, (value, _) in found.items()},
        origins=origins,
        config_path=config,
        in_file=resolver.in_file,
        candidates=tuple(candidates),
    )
