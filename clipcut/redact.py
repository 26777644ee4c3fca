"""The one function that takes secrets out of text that people or files get to see."""

import re
from urllib.parse import urlsplit, urlunsplit

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)


def redact_url(url: str) -> str:
    """Return an address without its query, fragment and user information."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redact(text: str) -> str:
    """Return a text in which every address has lost its query and user information."""
    return _URL.sub(lambda match: redact_url(match[0]), text)
