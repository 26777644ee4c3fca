"""Limits that change while a render runs: what a change of the file, or a message, means. Whole, or refused whole."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import Mistake, SettingsError
from clipcut.files import why_unreadable
from clipcut.options import OPTIONS, unknown_keys, written_value
from clipcut.settings import Origin, Settings

HOT = tuple(option.name for option in OPTIONS if option.is_hot)
"""The settings that can change while a render runs."""

REFUSED = "render.config_hot_reload_refused"
NOT_HOT = "render.config_for_the_next_render"


@attrs.frozen
class Change:
    """Settings that are to be others from now on.

    Attributes:
        values: By name; only settings that can change.
        origin: Where it comes from.
        restored: The names of those that go back to what they were at the start.
    """

    values: Mapping[str, Any]
    origin: Origin
    restored: frozenset[str] = frozenset()


Apply = Callable[[Change], None]
"""Lets a change hold. Called on Trio's thread."""

Warn = Callable[[str, str], None]
"""Takes an event's name and what it is about. Called on Trio's thread."""


def read_keys(keys: Mapping[str, Any], where: str, base: Path) -> dict[str, Any]:
    """Return the values of what stands in a settings file, or in a message of the same form.

    Args:
        keys: As TOML or JSON has them.
        where: What holds them, for messages.
        base: The folder that relative paths start from.

    Raises:
        SettingsError: With everything that can't be used.
    """
    mistakes, values = unknown_keys(keys, where), {}
    for option in OPTIONS:
        if option.in_file and option.name in keys:
            try:
                values[option.name] = written_value(option, keys[option.name], base)
            except ValueError as exc:
                mistakes.append(Mistake(f"{where}: {option.name}", str(exc)))
    asset = values.get("placeholder_asset_path")
    if asset is not None and (why := why_unreadable(Path(asset))):
        mistakes.append(Mistake(f"{where}: placeholder_asset_path", f"{asset} {why}"))
    if mistakes:
        raise SettingsError("", mistakes)
    return values


def refusal(error: SettingsError) -> str:
    """Say in one line why a change was refused."""
    return "nothing was changed; " + "; ".join(str(mistake) for mistake in error.mistakes)


def file_change(
    before: Mapping[str, Any], keys: Mapping[str, Any], values: Mapping[str, Any], start: Settings
) -> tuple[Change, list[str]]:
    """Return what a changed settings file changes, and the names of what it can't change now.

    Args:
        before: What stood in the file when it was last read.
        keys: What stands in it now.
        values: The same, read.
        start: The settings that the render began with.
    """
    touched = {name for name in {*before, *keys} if before.get(name) != keys.get(name)}
    removed = frozenset(name for name in touched if name in HOT and name not in keys)
    new = {name: values[name] for name in touched if name in HOT and name in keys}
    new |= {name: getattr(start, name) for name in removed}
    return Change(new, Origin.RELOAD_FILE, removed), sorted(touched - set(HOT))


def message_change(data: bytes, start: Settings, base: Path) -> Change:
    """Return what a message changes: a JSON object of file keys; null brings a setting back to its start value.

    Raises:
        SettingsError: It can't be used; says why.
    """
    try:
        keys = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise SettingsError("", [Mistake("the message", f"is not JSON: {exc}")]) from exc
    if not isinstance(keys, dict):
        raise SettingsError("", [Mistake("the message", 'is no JSON object; write {"max_parallelism": 6}')])
    cold = [option.name for option in OPTIONS if option.in_file and not option.is_hot and option.name in keys]
    if cold:
        raise SettingsError("", [Mistake(name, "can't change while a render runs") for name in cold])
    removed = frozenset(name for name in HOT if name in keys and keys[name] is None)
    given = {name: value for name, value in keys.items() if name not in removed}
    values = read_keys(given, "the message", base)
    values |= {name: getattr(start, name) for name in removed}
    return Change(values, Origin.RELOAD_REDIS, removed)


def changed_settings(now: Settings, start: Settings, change: Change) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings after a change, and the names of those whose value is another one than before."""
    names = tuple(name for name in HOT if name in change.values and change.values[name] != getattr(now, name))
    origins = {name: start.origins[name] if name in change.restored else change.origin for name in names}
    return (
        attrs.evolve(now, **{name: change.values[name] for name in names}, origins={**now.origins, **origins}),
        names,
    )
