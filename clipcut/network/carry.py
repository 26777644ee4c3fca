"""A source's query that goes along to all that its own origin is asked for."""

from urllib.parse import urlsplit, urlunsplit


def with_query(url: str, query: str) -> str:
    """Return an address with those parameters of a query added that it hasn't by name; byte for byte as they stand."""
    parts = urlsplit(url)
    names = {pair.partition("=")[0] for pair in parts.query.split("&")}
    added = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in names]
    if not added:
        return url
    return urlunsplit(parts._replace(query="&".join([*([parts.query] if parts.query else []), *added])))
