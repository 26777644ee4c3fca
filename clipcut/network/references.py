"""What a relative address means: RFC 3986, section 5.2.

``urllib.parse.urljoin`` drops empty segments of a path, but ``/videos//a.ts`` and ``/videos/a.ts`` are two things: keys
of object stores may well have two slashes in a row.
"""

from urllib.parse import urlsplit, urlunsplit


def resolve_reference(base: str, reference: str) -> str:
    """Return what a reference means in a document.

    Args:
        base: The absolute http(s) address of the document.
        reference: An address, absolute or relative. One with another scheme is returned as it is.

    Raises:
        ValueError: It can't be understood.
    """
    own, ref = urlsplit(base), urlsplit(reference)
    if ref.scheme not in ("", own.scheme):
        return reference
    if ref.netloc:
        return urlunsplit((own.scheme, ref.netloc, ref.path, ref.query, ref.fragment))
    path, query = own.path, ref.query
    if ref.path:
        folder = own.path[: own.path.rfind("/") + 1] or "/"
        path = _without_dots(ref.path if ref.path.startswith("/") else folder + ref.path)
    elif "?" not in reference.partition("#")[0]:
        query = own.query
    return urlunsplit((own.scheme, own.netloc, path, query, ref.fragment))


def _without_dots(path: str) -> str:
    """Go where ``.`` and ``..`` lead; ``path`` begins with a slash."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join([*kept, *([""] if segments[-1] in (".", "..") else [])])
