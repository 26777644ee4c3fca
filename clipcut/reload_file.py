"""Watches the settings file of a render at work, also one that is made later; SIGHUP has it read at once."""

import math
from pathlib import Path
from typing import Any

import attrs
import trio

from clipcut.errors import SettingsError
from clipcut.reload import NOT_HOT, REFUSED, Apply, Warn, file_change, read_keys, refusal
from clipcut.settings import Settings, first_found, read_config

EVERY_S = 0.25
"""How often the file is looked at, in seconds. It counts when it looks the same twice: editors write in steps."""

_Look = tuple[str, int, int, int] | None


@attrs.define
class FileWatch:
    """Reads the settings file again when it changes.

    Attributes:
        start: The settings that the render began with.
        apply: Lets a change hold.
        warn: Told of what can't be used.
    """

    start: Settings
    apply: Apply
    warn: Warn
    _keys: dict[str, Any] = attrs.field(init=False)
    _read: _Look | float = attrs.field(init=False, default=math.nan)
    _seen: _Look | float = attrs.field(init=False, default=math.nan)
    _asked: trio.Event = attrs.field(init=False, factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        """Know what the render began with: what has changed since it was read counts as changed."""
        self._keys = dict(self.start.in_file)

    def is_in_use(self) -> bool:
        """Tell whether there is a settings file now, or was one at the start."""
        return self.start.config_path is not None or first_found(self.start.candidates) is not None

    def hung_up(self) -> bool:
        """Have the file read at once, if there is one; return whether there is."""
        self._asked.set()
        return self.is_in_use()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            is_asked, self._asked = self._asked.is_set(), trio.Event()
            look = await trio.to_thread.run_sync(self._look)
            if is_asked or look == self._seen != self._read:
                self._read = look
                await self._take()
            self._seen = look
            with trio.move_on_after(EVERY_S):
                await self._asked.wait()

    def _look(self) -> _Look:
        """Return what tells one state of the file from another; None if there is none."""
        path = first_found(self.start.candidates)
        try:
            facts = path.stat() if path is not None else None
        except OSError:
            return None
        return (str(path), facts.st_ino, facts.st_mtime_ns, facts.st_size) if facts is not None else None

    async def _take(self) -> None:
        """Read the file, and let what has changed in it hold, or nothing of it."""
        try:
            path, keys, values = await trio.to_thread.run_sync(self._read_file)
        except SettingsError as exc:
            self.warn(REFUSED, refusal(exc))
            return
        change, others = file_change(self._keys, keys, values, self.start)
        self._keys = keys
        self.apply(change)
        if others:
            self.warn(NOT_HOT, f"{', '.join(others)} in {path} can't change while a render runs, but for the next one")

    def _read_file(self) -> tuple[Path | None, dict[str, Any], dict[str, Any]]:
        path = first_found(self.start.candidates)
        if path is None:
            return None, {}, {}
        keys = read_config(path)
        return path, keys, read_keys(keys, str(path), path.parent)
