"""One name for facts: what things are known by from render to render."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit

_CREDENTIALS = frozenset(
    {
        # what lets somebody in, or vouches for the rest of the address, under names that mean nothing else
        *("access-token", "access_token", "accesstoken", "auth-token", "auth_token", "authtoken", "bearer", "jwt"),
        *("token", "__token__", "api-key", "api_key", "apikey", "client_secret", "credential", "password", "secret"),
        *("hmac", "sig", "signature"),
        # headers
        *("authorization", "proxy-authorization", "x-access-token", "x-api-key", "x-auth-token", "x-csrf-token"),
        # Amazon and what speaks its language
        *("awsaccesskeyid", "x-amz-algorithm", "x-amz-content-sha256", "x-amz-credential", "x-amz-date"),
        *("x-amz-expires", "x-amz-security-token", "x-amz-signature", "x-amz-signedheaders"),
        # Google
        *("googleaccessid", "x-goog-algorithm", "x-goog-credential", "x-goog-date", "x-goog-expires"),
        *("x-goog-signature", "x-goog-signedheaders"),
        # Alibaba, Tencent
        *("auth_key", "ossaccesskeyid", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-security-token"),
        *("x-oss-signature", "x-oss-signature-version", "q-ak", "q-header-list", "q-key-time", "q-sign-algorithm"),
        *("q-sign-time", "q-signature", "q-url-param-list", "x-cos-security-token"),
        # Akamai
        *("hdnea", "hdntl", "hdnts"),
    }
)
"""Names of query parameters and headers, in small letters, that never say which thing is meant.

A name that may (``session``, ``sid``, ``policy``, ``exp``, ``acl``, ``cookie``) isn't here, however often it is a
credential: to make a clip once too often costs a moment, to take another video for it ruins the output.
"""
_SHARED_ACCESS = frozenset(
    {
        *("sv", "ss", "srt", "sr", "sp", "st", "se", "spr", "sip", "si", "sdd", "saoid", "suoid", "scid"),
        *("skoid", "sktid", "skt", "ske", "sks", "skv"),
    }
)
_TOGETHER = (
    (frozenset({"sig", "sv"}), _SHARED_ACCESS),  # Azure
    (frozenset({"signature", "key-pair-id"}), frozenset({"key-pair-id", "policy", "expires"})),  # CloudFront
    (frozenset({"signature", "expires"}), frozenset({"expires", "keyname", "urlprefix"})),  # Google, Amazon
    (frozenset({"token", "expires"}), frozenset({"expires", "token_path"})),  # Bunny
    (frozenset({"md5", "expires"}), frozenset({"md5", "expires"})),  # nginx
    (frozenset({"txsecret", "txtime"}), frozenset({"txsecret", "txtime"})),  # Tencent
    (
        frozenset({"wowzatokenhash"}),
        frozenset({"wowzatokenhash", "wowzatokenstarttime", "wowzatokenendtime"}),
    ),
)
"""What is a credential only in company: where all the first names are there, none of the second ones counts."""


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
    left_out = _credentials(name for name, _ in given)
    kept = [(name, value) for name, value in given if name.lower() not in left_out]
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), parts.path, kept


def known_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return those headers of a source that may say which thing is meant, as written, variables not filled in."""
    left_out = _credentials(headers)
    return sorted((name.lower(), value) for name, value in headers.items() if name.lower() not in left_out)


def _credentials(names: Iterable[str]) -> frozenset[str]:
    """Return which of the names in an address, or of a source's headers, are credentials, in small letters."""
    given = frozenset(name.lower() for name in names)
    in_company = (others for needed, others in _TOGETHER if needed <= given)
    return given & _CREDENTIALS.union(*in_company)
