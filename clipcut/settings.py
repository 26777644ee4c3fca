"""Settings with their origins: a flag beats the environment, which beats the file, which beats the default."""

import contextlib
import enum
import tomllib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import Mistake, SettingsError
from clipcut.files import is_regular_file
from clipcut.options import OPTIONS, Option, PlaceholderLimit, plain, unknown_keys, value_of, written_value
from clipcut.user_folders import user_config_folder


class Origin(enum.StrEnum):
    """Which layer a value came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"
    RELOAD_FILE = "reload:file"
    RELOAD_REDIS = "reload:redis"


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
        cut: ``auto`` copies pictures that need no change where that is cheaper, ``encode`` encodes all.
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
    cut: str
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

    @property
    def lacks_users(self) -> bool:
        """Whether no settings file was found, and the user's could not be looked for."""
        return self.config_path is None and user_config_folder() is None

    def described(self) -> dict[str, dict[str, object]]:
        """Return each value with its origin, as the report's ``config`` shows it."""
        values = {option.name: getattr(self, option.name) for option in OPTIONS}
        return {name: {"value": plain(value), "origin": self.origins[name]} for name, value in values.items()}


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
    of_user = user_config_folder()
    return (cwd / CONFIG_NAME, *([of_user / CONFIG_NAME] if of_user is not None else []))


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
        return self._noted(where, lambda: value_of(option, text, base))

    def _noted(self, where: str, read: Callable[[], Any]) -> Any:
        """Return a value, or note what is wrong with it."""
        try:
            return read()
        except ValueError as exc:
            self.mistakes.append(Mistake(where, str(exc)))
            return None


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
