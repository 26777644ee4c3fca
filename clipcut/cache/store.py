"""Files kept for later renders, each entry a folder: whole or not there, checked when read, the oldest go first.

Everything here blocks; call it in a thread. Several renders may use one store at once.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from clipcut.digest import digest
from clipcut.files import is_there, sync_folder
from clipcut.locks import lock_file

FACTS = "entry.json"
KINDS = ("clips", "segments")
_BRANCH = 2
"""How many letters of a key name the folder that its entry lies in."""

_TARGET = 0.9
"""How much of the room is left in use when the store was full."""
_STRETCH = 0.02
"""After how much of the limit the store is looked through again."""
_FACTS_SIZE = 500
"""About how many bytes an entry's facts have."""
_READ = 1 << 20


@attrs.frozen(order=True)
class Entry:
    """One entry as it lies there: when it was last used, how many bytes it has, where it is."""

    used_at: float
    size: int
    path: Path


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ):
            found.update(data)
    return found.hexdigest()


def _share(source: Path, target: Path) -> None:
    """Give a file another name; where that can't be, copy it."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def _read_facts(path: Path) -> dict[str, Any]:
    """Read what an entry says of itself.

    Raises:
        ValueError: It isn't what was written.
    """
    written: dict[str, Any] = json.loads(path.read_bytes())
    check = written.pop("check")
    if check != digest(written):
        raise ValueError(f"{path} is damaged")
    return written


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Store:
    """Entries below one folder, bounded in bytes."""

    def __init__(self, root: Path, limit: int, work: Path) -> None:
        """Use what is there.

        Args:
            root: Where entries lie; made if it isn't there.
            limit: How many bytes they may have.
            work: A folder on the same file system, for entries that are not finished.

        Raises:
            OSError: It can't be written to.
        """
        self._root = root
        self._limit = limit
        self._work = work
        self._total: int | None = None
        self._put_since = 0
        self._room = threading.Lock()

    def get(self, kind: str, key: str, place: Callable[[str], Path]) -> dict[str, Any] | None:
        """Give an entry's files other names, and return its facts; None if there is none, or if it is damaged.

        Args:
            kind: One of ``KINDS``.
            key: What it is known by.
            place: Tells where a file goes, by its name, or raises ``ValueError``; what is there is replaced.
        """
        entry = self._path(kind, key)
        taken: list[Path] = []
        try:
            written = _read_facts(entry / FACTS)
            for name, (size, found) in written["files"].items():
                taken.append(place(name))
                self._take(entry / name, taken[-1], size, found)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._undo(taken)
            if is_there(entry):
                self.drop(kind, key)  # a file of it is gone, or its facts are
        except OSError:
            self._undo(taken)  # no room, say: the entry is none the worse for it
        except Exception:  # whatever stands in its facts
            self._undo(taken)
            self.drop(kind, key)
        else:
            with contextlib.suppress(OSError):
                os.utime(entry)
            return dict(written["facts"])
        return None

    def _take(self, source: Path, target: Path, size: int, found: str) -> None:
        """Share one file, then check what was shared: nobody can take that away meanwhile."""
        target.unlink(missing_ok=True)
        _share(source, target)
        if target.stat().st_size != size or _hash(target) != found:
            raise ValueError(f"{source} is damaged")

    def _undo(self, taken: Iterable[Path]) -> None:
        for path in taken:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def put(
        self, kind: str, key: str, files: Mapping[str, Path], facts: Mapping[str, Any], *, is_durable: bool = True
    ) -> None:
        """Keep files under a key; nothing happens if it is there already, or would not fit in at all.

        Args:
            kind: One of ``KINDS``.
            key: What it is known by.
            files: By name.
            facts: What else is kept, as JSON has it.
            is_durable: Whether it has to survive a power cut; else it is only found damaged then.

        Raises:
            OSError: It can't be kept.
        """
        target = self._path(kind, key)
        if target.exists():
            return
        size = sum(path.stat().st_size for path in files.values())
        if size > self._limit:
            return
        with self._room:
            self._make_room(size)
        new = self._work / secrets.token_hex(8)
        new.mkdir()
        try:
            self._fill(new, files, facts, is_durable=is_durable)
            try:
                self._settle(new, target, is_durable=is_durable)
            except FileNotFoundError:  # the whole store was cleared in between
                self._settle(new, target, is_durable=is_durable)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _fill(self, new: Path, files: Mapping[str, Path], facts: Mapping[str, Any], *, is_durable: bool) -> None:
        listed = {}
        for name, path in files.items():
            _share(path, new / name)
            listed[name] = ((new / name).stat().st_size, _hash(new / name))
            if is_durable:
                _sync(new / name)
        written = {"files": listed, "facts": dict(facts)}
        (new / FACTS).write_bytes(json.dumps(written | {"check": digest(written)}).encode())
        if is_durable:
            _sync(new / FACTS)
            sync_folder(new)

    def _settle(self, new: Path, target: Path, *, is_durable: bool) -> None:
        """Put an entry in its place; somebody else's that came first stays."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            new.rename(target)
        except OSError:
            if target.exists():
                return
            raise
        if is_durable:
            sync_folder(target.parent)

    def drop(self, kind: str, key: str) -> None:
        """Remove an entry. Never raises."""
        self._remove(self._path(kind, key))

    def drop_all(self, kind: str, prefix: str) -> None:
        """Remove every entry whose key begins so. Never raises."""
        for entry in _inside(self._root / kind / prefix[:_BRANCH]):
            if entry.name.startswith(prefix):
                self._remove(entry)

    def _remove(self, entry: Path) -> None:
        """Take an entry out of its place in one step, then remove it."""
        gone = self._work / f"gone-{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            entry.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def clear(self) -> None:
        """Remove every entry, each kind in one step; others that use the store meanwhile find nothing any more.

        Raises:
            OSError: Something can't be removed.
        """
        for kind in KINDS:
            gone = self._work / f"gone-{kind}"
            with contextlib.suppress(FileNotFoundError):
                (self._root / kind).rename(gone)
                shutil.rmtree(gone)

    def entries(self) -> list[Entry]:
        """Return what is there, what was used longest ago first."""
        return sorted(entries_below(self._root))

    def _make_room(self, size: int) -> None:
        """See that ``size`` more bytes fit in: remove what was used longest ago.

        Others may put something too, so what is there is looked at again after each small part of the limit.
        """
        if self._total is None or self._put_since > self._limit * _STRETCH:
            self._total, self._put_since = sum(entry.size for entry in self.entries()), 0
        self._total += size + _FACTS_SIZE
        self._put_since += size + _FACTS_SIZE
        if self._total <= self._limit:
            return
        lock = lock_file(self._root / "eviction.lock")
        if lock is None:
            return  # somebody else is at it
        try:
            entries = self.entries()
            self._total = sum(entry.size for entry in entries) + size + _FACTS_SIZE
            target = max(self._limit * _TARGET, size + _FACTS_SIZE)
            for entry in entries:
                if self._total <= target:
                    break
                self._remove(entry.path)
                self._total -= entry.size
        finally:
            os.close(lock)

    def _path(self, kind: str, key: str) -> Path:
        return self._root / kind / key[:_BRANCH] / key


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it isn't there, or can't be looked into."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def entries_below(root: Path) -> Iterator[Entry]:
    """Yield every entry; what goes away meanwhile is left out."""
    for kind in KINDS:
        for entry in (entry for branch in _inside(root / kind) for entry in _inside(branch)):
            with contextlib.suppress(OSError):
                files = [file.stat().st_size for file in entry.iterdir()]
                yield Entry(entry.stat().st_mtime, sum(files), entry)
