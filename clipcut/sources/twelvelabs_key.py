"""What the environment says of the TwelveLabs API: its key and its address. Imports neither httpx nor Trio."""

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

BASE_URL = "https://api.twelvelabs.io/v1.3"
BASE_VARIABLE, KEY_VARIABLE, KEY_FILE_VARIABLE = "TWELVELABS_BASE_URL", "TWELVELABS_API_KEY", "TWELVELABS_API_KEY_FILE"


def key_problem(environ: Mapping[str, str]) -> str | None:
    """Return why there is no API key, for people; None if there is one. Reads the key's file."""
    try:
        key = read_key(environ)
    except OSError as exc:
        return f"{KEY_FILE_VARIABLE} names a file that can't be read: {exc.strerror}"
    except ValueError:
        return f"{KEY_FILE_VARIABLE} names a file that isn't text"
    if not key:
        return f"needs a TwelveLabs API key: set {KEY_VARIABLE}, or {KEY_FILE_VARIABLE} to the path of a file with it"
    if not key.isascii() or not key.isprintable():
        return "the TwelveLabs API key holds what no header can carry (it isn't shown here)"
    return None


def read_key(environ: Mapping[str, str]) -> str:
    """Return the API key, from its variable or else its file; nothing if there is none."""
    if key := environ.get(KEY_VARIABLE, "").strip():
        return key
    if path := environ.get(KEY_FILE_VARIABLE):
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  a path as the user wrote it
            return file.read(10_000).strip()
    return ""


def open_key_file(environ: Mapping[str, str]) -> str | None:
    """Return what to say of a key file that others may read; None if the key is nowhere such. Looks at the file's mode.

    As ssh does, only at a file of the user's own: one of another owner, mounted into a container say, is not theirs to
    change. It is no mistake that ends a render, as Docker gives such files to everybody in the container by default.
    """
    path = environ.get(KEY_FILE_VARIABLE)
    if not path or environ.get(KEY_VARIABLE, "").strip():
        return None
    try:
        status = os.stat(path)  # noqa: PTH116  a path as the user wrote it
    except (OSError, ValueError):
        return None
    if status.st_uid != os.geteuid() or not status.st_mode & 0o077:
        return None
    return f"{path} has the TwelveLabs key, and others may get at it (mode {status.st_mode & 0o777:04o}); chmod 600 it"


def base_url(environ: Mapping[str, str]) -> str:
    """Return the API's address, without a slash at its end."""
    return (environ.get(BASE_VARIABLE, "").strip() or BASE_URL).rstrip("/")


def base_problem(environ: Mapping[str, str]) -> str | None:
    """Return why the API's address can't be used; None if it can."""
    return None if is_address(base_url(environ)) else f"{BASE_VARIABLE} is no http(s) address"


def is_address(text: str) -> bool:
    """Tell whether a text is an http(s) address with a host and no impossible port."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
