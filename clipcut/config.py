"""The settings file as ``clipcut config`` shows and changes it: one key at a time, comments and layout kept."""

import contextlib
import os
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import ClipcutError, Mistake, SettingsError, nearest
from clipcut.files import is_folder, is_link, is_regular_file, is_there, real_path, write_atomic
from clipcut.locks import take
from clipcut.options import FILE_OPTIONS, OPTIONS, Option, plain, stands_for_file, unknown_keys, written_value
from clipcut.settings import CONFIG_NAME, CONFIG_VARIABLE, Origin, Settings, find_config, read_config

TITLE = "The setting can't be changed:"
LOCK_SECONDS = 5.0
"""How long to wait for another change of a file in the same folder; one takes milliseconds."""


@attrs.frozen(kw_only=True)
class Change:
    """A key of the settings file that was set.

    Attributes:
        option: Which one.
        path: The file.
        before, after: Its value then and now, as TOML in one line; ``before`` is None if the key wasn't there.
    """

    option: Option
    path: Path
    before: str | None
    after: str


def _origin_text(settings: Settings, option: Option) -> str:
    origin = settings.origins[option.name]
    details = {Origin.FILE: settings.config_path, Origin.ENVIRONMENT: option.env}
    return f"{origin} {details[origin]}" if origin in details else str(origin)


def _value_text(value: object) -> str:
    return "none" if value is None else str(value)


def settings_lines(settings: Settings) -> Iterator[str]:
    """Yield the settings file, then each setting with its value and where it came from, in columns."""
    values = {name: shown["value"] for name, shown in settings.described().items()}
    rows = [(o.name, _value_text(values[o.name]), _origin_text(settings, o)) for o in OPTIONS]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    yield f"{'settings file'.ljust(widths[0])}  {settings.config_path or 'none'}"
    for name, value, origin in rows:
        yield f"{name.ljust(widths[0])}  {value.ljust(widths[1])}  {origin}"


def settings_document(settings: Settings) -> dict[str, Any]:
    """Return the same for programs: ``config`` as the report has it, and ``file``, the settings file or None."""
    path = settings.config_path
    return {"file": str(path) if path is not None else None, "config": settings.described()}


def file_to_change(flag: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """Choose the settings file to change: as for a render, but one that is named may be new, as may ``./clipcut.toml``.

    Raises:
        SettingsError: The flag or variable names a file in no folder.
    """
    for where, named in (("--config", flag), (CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE) or None)):
        if named is not None:
            path = cwd / named
            if not is_folder(path.parent):
                raise SettingsError(TITLE, [Mistake(where, f"there is no folder {path.parent}; make it first")])
            return path
    return find_config(None, {}, cwd) or cwd / CONFIG_NAME


def change_file(path: Path, key: str, text: str, cwd: Path) -> Change:
    """Set one key of a settings file, which is made if need be; readers see the old file or the new one.

    Args:
        path: The file; its folder is there.
        key: The setting's name.
        text: Its value as on the command line; a relative path starts from ``cwd``.
        cwd: The current folder.

    Raises:
        SettingsError: With everything that would be wrong in the file then; it is as it was.
        ClipcutError: The file can't be written, or others hold its folder.
    """
    with _alone_in(real_path(path).parent):
        old, document = _read(path)
        option, value = _checked(path, document, key, text, cwd)
        new = _changed(path, old, document, option, value)
        if new != old:
            _write(path, new)
    before = _toml(document[key]) if key in document else None
    return Change(option=option, path=path, before=before, after=_toml(value))


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other changes of this kind out of a folder; where folders can't be locked, the last change wins."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    """Take the lock, or raise; it goes with the descriptor."""
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            if take(descriptor):
                return
        except OSError:
            return  # a file system without locks of folders
        if time.monotonic() > give_up:
            raise ClipcutError(f"Another program holds a lock on {folder}; try again when it is done.")
        time.sleep(0.01)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a settings file's text and what it says; nothing if there is none yet."""
    if is_regular_file(path):
        document = read_config(path)
        return path.read_bytes().decode("utf-8"), document
    if is_there(path):
        raise SettingsError(TITLE, [Mistake(str(path), "is not a regular file")])
    return "", {}


def _checked(
    path: Path, document: Mapping[str, Any], key: str, text: str, cwd: Path
) -> tuple[Option, str | int | float]:
    """Return the key's option and value; raises with all that is wrong with them and with the file's other keys."""
    others = {name: value for name, value in document.items() if name != key}
    try:
        option = _option(key)
        value = _file_value(option, text, path, cwd)
    except SettingsError as exc:
        raise SettingsError(TITLE, [*exc.mistakes, *_mistakes(others, path)]) from exc
    if mistakes := _mistakes({**others, key: value}, path):
        raise SettingsError(TITLE, mistakes)
    return option, value


def _option(key: str) -> Option:
    if key not in FILE_OPTIONS:
        hint = nearest(key, FILE_OPTIONS) or f"; write one of {', '.join(FILE_OPTIONS)}"
        raise SettingsError(TITLE, [Mistake(key, f"unknown key{hint}")])
    return FILE_OPTIONS[key]


def _file_value(option: Option, text: str, path: Path, cwd: Path) -> Any:
    """Return a value as the file has it: a number or a text; a path so that it still means the same file there."""
    try:
        value = option.parse(text)
    except ValueError as exc:
        raise SettingsError(TITLE, [Mistake(option.name, f"{text!r} can't be used; {exc}")]) from exc
    if stands_for_file(option, value) and (is_link(path) or not _is_same_folder(path.parent, cwd)):
        return str(cwd / value)
    return plain(value)


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _mistakes(document: Mapping[str, Any], path: Path) -> list[Mistake]:
    """Return what would be wrong with a settings file."""
    found = unknown_keys(document, str(path))
    for name in [name for name in document if name in FILE_OPTIONS]:
        try:
            written_value(FILE_OPTIONS[name], document[name], path.parent)
        except ValueError as exc:
            found.append(Mistake(f"{path}: {name}", str(exc)))
    return found


def _changed(path: Path, text: str, document: Mapping[str, Any], option: Option, value: Any) -> str:
    """Return a settings file's text with one key set, all else as it was."""
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415  only a change needs it

    change = _replaced if option.name in document else _appended
    with contextlib.suppress(TOMLKitError, ValueError, RecursionError):
        new = change(text, option.name, value)
        if tomllib.loads(new) == {**document, option.name: value}:
            return new
    what = f"its layout is too odd to be kept; write {option.name} = {_toml(value)} into it by hand"
    raise SettingsError(TITLE, [Mistake(str(path), what)])


def _replaced(text: str, name: str, value: Any) -> str:
    """Return a text with another value of a key that it has; the comment behind it stays."""
    import tomlkit  # noqa: PLC0415

    layout = tomlkit.parse(text)
    layout[name] = value
    return tomlkit.dumps(layout)


def _appended(text: str, name: str, value: Any) -> str:
    """Return a text with a new key at its end, where it is at top level: a settings file has no tables."""
    end = "\r\n" if "\r\n" in text else "\n"
    start = "" if not text or text.endswith("\n") else end
    return f"{text}{start}{name} = {_toml(value)}{end}"


def _write(path: Path, text: str) -> None:
    try:
        write_atomic(path, text.encode("utf-8"))
    except OSError as exc:
        raise ClipcutError(f"{path} can't be written: {exc.strerror}; it is as it was.") from exc


def _toml(value: Any) -> str:
    """Return a value as TOML, in one line."""
    import tomlkit  # noqa: PLC0415

    try:
        lines = tomlkit.item(value).as_string().splitlines()
    except ValueError:
        return "a number of thousands of digits"
    return " ".join(lines)


def winning_variable(option: Option, environ: Mapping[str, str]) -> str | None:
    """Name the environment variable that wins over the file; None if none is set."""
    return option.env if option.env is not None and environ.get(option.env) else None
