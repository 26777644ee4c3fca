"""Run a program and see what it takes: time, the CPU of Python apart from FFmpeg's, memory, open files.

Its own CPU is read from ``/proc`` when it has ended and is not reaped yet, so it is whole. clipcut's readers are Python
too, and counted with it: they, memory and files are looked at ten times a second. Where there is no ``/proc`` (macOS),
only wall time and the CPU of all together are known.
"""

import contextlib
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

_GLANCE_S = 0.1
_GLANCES = 10
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen(kw_only=True)
class Seen:
    """What a program took.

    Attributes:
        wall_s: Seconds from start to end.
        cpu_s: CPU seconds, its children's included.
        own_cpu_s: CPU seconds of it and its readers; None where that can't be known.
        peak_memory_mb: Memory of it and its readers at the most, in MB (10**6 bytes), what they share counted once, by
            a look a second; None likewise.
        peak_open_files: Its open files at the most; None likewise.
        exit_code: How it ended.
    """

    wall_s: float
    cpu_s: float
    own_cpu_s: float | None = None
    peak_memory_mb: float | None = None
    peak_open_files: int | None = None
    exit_code: int = 0


def _own_cpu(pid: int) -> float | None:
    """Return the CPU seconds of a process without its children's."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return None


def _memory_mb(pid: int) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _readers(pid: int) -> Iterator[int]:
    """Yield the children of a process that are clipcut's readers."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                if b"clipcut.ffmpeg.reader" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield int(child)


class _Glances:
    """Looks at a process again and again, in a thread."""

    def __init__(self, pid: int) -> None:
        self.memory_mb: float | None = None
        self._cpu: dict[int, float] = {}
        self.files: int | None = None
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        for glance in itertools.count():
            if self._over.is_set():
                return
            with contextlib.suppress(OSError):
                self.files = max(self.files or 0, sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir()))
                for reader in _readers(self._pid):
                    self._cpu[reader] = _own_cpu(reader) or self._cpu.get(reader, 0)
            if glance % _GLANCES == 0 and (own := _memory_mb(self._pid)) is not None:
                whole = own + sum(_memory_mb(reader) or 0 for reader in self._cpu)
                self.memory_mb = max(self.memory_mb or 0, whole)
            self._over.wait(_GLANCE_S)

    @property
    def readers_cpu_s(self) -> float:
        """CPU seconds of the readers."""
        return sum(self._cpu.values())

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def watch(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Seen:
    """Run a program to its end and return what it took.

    Args:
        argv: The command.
        environ: Variables beside those of this process.
    """
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=os.environ | dict(environ or {}))
    glances = _Glances(process.pid)
    own = None
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        own = _own_cpu(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    glances.end()
    return Seen(
        wall_s=round(wall, 3),
        cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
        own_cpu_s=round(own + glances.readers_cpu_s, 3) if own is not None else None,
        peak_memory_mb=round(glances.memory_mb, 1) if glances.memory_mb is not None else None,
        peak_open_files=glances.files,
        exit_code=process.returncode,
    )
