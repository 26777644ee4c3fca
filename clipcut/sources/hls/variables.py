"""EXT-X-DEFINE: variables of a playlist, put in where it refers to them, in addresses and attribute lists."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus, urlsplit

from clipcut.sources.hls.master import MAX_BYTES
from clipcut.sources.hls.values import MAX_LINE, attributes, bad, shown

_TAG = "#EXT-X-DEFINE"
_WITH_ATTRIBUTES = (
    _TAG,
    "#EXT-X-KEY",
    "#EXT-X-MAP",
    "#EXT-X-MEDIA",
    "#EXT-X-SESSION-KEY",
    "#EXT-X-STREAM-INF",
)
"""The tags that matter and may refer to variables; in a title, say, a reference is a text like any other."""
_REFERENCE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}", re.ASCII)


def put_in(text: str, url: str, imported: Mapping[str, str] | None) -> tuple[str, Mapping[str, str]]:
    """Put variables in, each from the line on that defines it.

    Args:
        text: A playlist, with no blank lines.
        url: Its address, after redirects, whose query may give values.
        imported: The variables of the master playlist that led to it; None if none did.

    Returns:
        The text, unchanged if it defines no variable, and the variables.

    Raises:
        SourceError: ``bad_playlist``; a variable isn't there, is there twice, or the text becomes too long.
    """
    if f"\n{_TAG}" not in text:
        return text, {}
    variables: dict[str, str] = {}
    lines, length = [], 0
    for line in text.split("\n"):
        name = line.partition(":")[0]
        found = _filled(line, variables) if name in _WITH_ATTRIBUTES or not line.startswith("#") else line
        if name == _TAG:
            _define(attributes(found), url, imported, variables)
        length += len(found)
        if length > MAX_BYTES:
            raise bad(f"becomes larger than {MAX_BYTES // 1024**2} MiB with its variables")
        lines.append(found)
    return "\n".join(lines), variables


def _filled(line: str, variables: Mapping[str, str]) -> str:
    """Put variables into a line, and never build one that is too long."""
    names = _REFERENCE.findall(line)
    for name in names:
        if name not in variables:
            raise bad(f'refers to the variable "{shown(name)}" before it defines it, if it does')
    if names and len(line) + sum(len(variables[name]) for name in names) > MAX_LINE:
        raise bad(f"has more than {MAX_LINE:,} characters in a line with its variables")
    return _REFERENCE.sub(lambda match: variables[match[1]], line)


def _define(given: Mapping[str, str], url: str, imported: Mapping[str, str] | None, variables: dict[str, str]) -> None:
    """Add the variable that a tag defines."""
    kinds = [kind for kind in ("name", "import", "queryparam") if given.get(kind)]
    if len(kinds) != 1:
        raise bad("has an EXT-X-DEFINE that names no variable" if not kinds else "has an EXT-X-DEFINE of two kinds")
    (kind,) = kinds
    name = given[kind]
    if name in variables:
        raise bad(f'defines the variable "{shown(name)}" twice')
    if kind == "name":
        value = given.get("value")
    elif kind == "import":
        value = (imported or {}).get(name)
    else:
        value = _parameter(url, name)
    if value is None:
        raise bad(_MISSING[kind].format(shown(name)))
    variables[name] = value


_MISSING = {
    "name": 'defines the variable "{}" without a value',
    "import": 'imports the variable "{}", which no master playlist has that led to it',
    "queryparam": 'takes the variable "{}" from the query of its address, which has no such parameter',
}


def _parameter(url: str, name: str) -> str | None:
    """Return a parameter of an address as it is written there, as it becomes a part of other addresses."""
    for pair in urlsplit(url).query.split("&"):
        key, _, value = pair.partition("=")
        if unquote_plus(key) == name and value and '"' not in value:
            return value
    return None
