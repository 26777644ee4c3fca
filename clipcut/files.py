"""Files that are never torn: a private work folder that always goes, and writing beside the target, then renaming."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Make a private folder in ``parent`` (mode 0700), and remove it with all that is in it, whatever the end.

    Raises:
        OSError: ``parent`` is no folder that can be written to.
    """
    folder = Path(tempfile.mkdtemp(prefix=".clipcut-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems can't; the rename itself has happened
    finally:
        os.close(descriptor)


def _public_mode() -> int:
    """Return the mode that an ordinary new file would have."""
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def replace(temporary: Path, target: Path) -> None:
    """Put a finished file in the target's place: old or new, never torn. Both lie on one file system."""
    mode = _public_mode()
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(target.stat().st_mode)
    with temporary.open("rb+") as file:
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    temporary.replace(target)
    sync_folder(target.parent)


def write_atomic(target: Path, data: bytes) -> None:
    """Write a small file so that readers see the old or the new one; a device or pipe is written to as it is."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(target.stat().st_mode):
            target.write_bytes(data)
            return
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
