"""Where clipcut's own CPU goes: run a render with every thread profiled by its CPU time, children left out.

    python tests/bench/profile_own.py render mix.json -o mix.mp4 --force

The arguments are clipcut's. What is measured is the cost of each function itself, all threads together; the profiler
makes calls dearer than they are, so the shares mean more than the seconds.
"""

import cProfile
import pstats
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

_TOP = 30


class Threads:
    """A profile for each thread, begun with its first call."""

    def __init__(self) -> None:
        """Profile this thread, and each that begins after it."""
        self._profiles: list[cProfile.Profile] = []
        threading.setprofile(self._first_call)
        self._begin()

    def _first_call(self, _frame: FrameType, _event: str, _argument: Any) -> None:
        self._begin()

    def _begin(self) -> None:
        profile = cProfile.Profile(time.thread_time)
        self._profiles.append(profile)
        profile.enable()

    def end(self) -> pstats.Stats:
        """Stop, and add all up."""
        threading.setprofile(None)
        for profile in self._profiles:
            profile.disable()
        stats = pstats.Stats(self._profiles[0])
        for profile in self._profiles[1:]:
            profile.create_stats()
            if getattr(profile, "stats", None):
                stats.add(profile)
        return stats


def _place(file: str) -> str:
    """Name the package that a file belongs to, or clipcut's own module."""
    path = Path(file)
    if "clipcut" in path.parts[:-1] and "site-packages" not in path.parts:
        return "clipcut/" + "/".join(path.parts[len(path.parts) - path.parts[::-1].index("clipcut") :])
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1]
    return "built in" if file in ("~", "") else "standard library, imports"


def _entries(stats: pstats.Stats) -> dict[tuple[str, int, str], Any]:
    return stats.stats  # type: ignore[attr-defined,no-any-return]


def show(stats: pstats.Stats) -> None:
    """Print the CPU seconds by package and by function."""
    # a thread that still waits is ended by this one, whose clock is another: what it waited in has no true time
    entries = {key: entry for key, entry in _entries(stats).items() if "'acquire'" not in key[2]}
    total = sum(entry[2] for entry in entries.values())
    places: Counter[str] = Counter()
    for (file, _, _), entry in entries.items():
        places[_place(file)] += entry[2]
    print(f"{total:.2f} CPU seconds in Python, by place:")
    for place, seconds in places.most_common(_TOP):
        print(f"  {seconds:7.3f}  {place}")
    print("by function:")
    for (file, line, name), entry in sorted(entries.items(), key=lambda item: -item[1][2])[:_TOP]:
        print(f"  {entry[2]:7.3f}  {entry[0]:8} calls  {_place(file)}:{line} {name}")


def main() -> int:
    """Render under the profiler."""
    threads = Threads()
    from clipcut.cli import run  # noqa: PLC0415  imports are part of the cost

    code = run(sys.argv[1:])
    show(threads.end())
    return code


if __name__ == "__main__":
    sys.exit(main())
