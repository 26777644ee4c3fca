"""One name for facts: what things are known by from render to render."""

import hashlib
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

_CREDENTIAL = re.compile(
    r"(?i:.*(token|signature|credential|secret|password|expire|session|jwt|hmac).*|x-(amz|goog|ms)-.*|auth.*|.*auth|"
    r"exp|sig|policy|acl|key-pair-id|.*api-?key|apikey|awsaccesskeyid|googleaccessid|hdn(ts|ea|tl)|nonce|sid|cookie)"
)
"""What only lets somebody in, or only for a while: names of query parameters and of headers."""
_SHARED_ACCESS = frozenset(
    {"sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv"}
)
"""What goes along with ``sig`` in Azure's addresses."""


def digest(*facts: object) -> str:
    """Return one name for facts; exact numbers are written out, so equal facts have equal names."""
    text = json.dumps(facts, default=str, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def known_address(url: str) -> tuple[object, ...]:
    """Return what of an address says which thing is meant: not who asks, nor for how long the address is good.

    Servers that tell videos apart by a parameter are common, so what isn't known to be a credential counts.
    """
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in given}
    left_out = _SHARED_ACCESS if "sig" in names else frozenset()
    kept = [(name, value) for name, value in given if name not in left_out and not _CREDENTIAL.fullmatch(name)]
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path, kept


def known_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return those headers of a source that may say which thing is meant, as written, variables not filled in."""
    return sorted((name.lower(), value) for name, value in headers.items() if not _CREDENTIAL.fullmatch(name))
