"""What a local file is known by: its length, the time of its last change, and a hash of samples of it."""

import hashlib
import os
from pathlib import Path

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.probe import file_identity

_ENDS = 64 * 1024
_SAMPLE = 4 * 1024
_SAMPLES = 16


@attrs.frozen
class LocalIdentity:
    """What a file is known by, and as which file of its name it was seen then."""

    text: str
    seen: tuple[int, ...]


def local_identity(path: Path) -> LocalIdentity | None:
    """Look at a file; None if it is one that can't be known, or used. Blocks; call it in a thread.

    Its name and place don't matter: a file that was moved is the same.

    Raises:
        SourceError: ``missing_file``.
    """
    try:
        seen = file_identity(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            size, changed = seen[2], seen[3]
            found = hashlib.sha256()
            for first, length in _samples(size):
                found.update(os.pread(descriptor, length, first))
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise SourceError(Reason.MISSING_FILE, f"there is no file {path}") from exc
    except (OSError, ValueError):
        return None
    return LocalIdentity(f"local:{size}:{changed}:{found.hexdigest()}", seen)


def _samples(size: int) -> list[tuple[int, int]]:
    """Return which bytes are looked at: both ends, and some in between."""
    step = size // (_SAMPLES + 1)
    between = [(step * number, _SAMPLE) for number in range(1, _SAMPLES + 1)]
    return [(0, _ENDS), *between, (max(0, size - _ENDS), _ENDS)]
