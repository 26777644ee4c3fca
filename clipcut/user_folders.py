"""Where a user's caches and settings are, by the rules of XDG and of macOS; some users have no such place.

A container often runs with a number that no list of users has, and without ``HOME``. A home that is no absolute path
counts as none: it would lead somewhere else from each folder.
"""

import os
import pwd
import sys
from pathlib import Path

_IS_MAC = sys.platform == "darwin"


def _home() -> Path | None:
    """Return the user's home: what ``HOME`` says, else what the system knows."""
    home = os.environ.get("HOME", "")
    if not Path(home).is_absolute():
        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    return Path(home) if Path(home).is_absolute() else None


def _user_folder(variable: str, below_home: str) -> Path | None:
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():
        return Path(named) / "clipcut"
    home = _home()
    return home / below_home / "clipcut" if home is not None else None


def user_cache_folder() -> Path | None:
    """Return the folder for what may be kept, which need not be there; None if this user has no such place."""
    return _user_folder("XDG_CACHE_HOME", "Library/Caches" if _IS_MAC else ".cache")


def user_config_folder() -> Path | None:
    """Return the folder for settings, which need not be there; None if this user has no such place."""
    return _user_folder("XDG_CONFIG_HOME", "Library/Application Support" if _IS_MAC else ".config")


def _why() -> str:
    home = os.environ.get("HOME")
    said = "HOME is not set" if home is None else f'HOME is "{home}", which is no absolute path'
    return f"{said}, and the system knows no home of user {os.getuid()}"


def why_no_cache() -> str:
    """Say why there is no place for a cache, and what to do."""
    return f"{_why()}; set HOME or XDG_CACHE_HOME, or name a folder with --cache-dir"


def why_no_settings() -> str:
    """Say why no settings of the user's are read, and what to do."""
    return f"no settings of the user's are read, as {_why()}; set HOME or XDG_CONFIG_HOME, or name a file with --config"
