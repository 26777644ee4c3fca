"""A reader as a hostile file would make it: what it does hangs on the name of the file that it is to probe."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import raise_if_machine
from clipcut.ffmpeg import excerpt, probe, reader

NAMES = tuple(name for name in reader.FUNCTIONS if name.startswith("clipcut.ffmpeg.probe:"))
_OUT = 3
"""The descriptor that answers go out by: the first free one when a reader begins."""

_probe = probe.probe


def crash() -> None:
    """End by a real segmentation fault."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    """Never come back, and heed neither the end of the input nor a request to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def eat_memory() -> None:
    """Take more memory than it may have."""
    held = bytearray(reader.MEMORY + 1)
    raise AssertionError(f"{len(held)} bytes were given")


def grow() -> None:
    """Write more than it may."""
    try:
        with Path(os.environ["HOME"], "grown").open("wb") as file:
            file.writelines(bytes(64 * 1024**2) for _ in range(3))
    except OSError as exc:
        raise_if_machine(exc)


def say(text: str) -> None:
    """Say something that is no answer."""
    os.write(_OUT, text.encode())


DEEDS: dict[str, Callable[[], object]] = {
    "crash": crash,
    "hang": hang,
    "eat_memory": eat_memory,
    "grow": grow,
    "exit": lambda: os._exit(7),
    "bug": lambda: os.environ["NO SUCH KEY"],
    "rubbish": lambda: say("certainly!\n"),
    "number": lambda: say("7\n"),
    "deep": lambda: say("[" * 2000 + "\n"),
    "pickle": lambda: say("cos\nsystem\n(S'id'\ntR.\n"),
    "endless": lambda: say("x" * 3000),
    "reason": lambda: say('{"failed": "source", "reason": "my own", "message": ""}\n'),
}


def hostile_probe(path: Path) -> probe.MediaInfo:
    """Look into a file as ``probe`` does, unless its name says otherwise."""
    if path.stem in DEEDS:
        DEEDS[path.stem]()
    info = _probe(path)
    return attrs.evolve(info, path=Path("/etc/passwd")) if path.stem == "path" else info


def limits(path: Path) -> bool:
    """Tell whether the bounds of the system hold."""
    kinds = {resource.RLIMIT_CORE: 0, resource.RLIMIT_AS: reader.MEMORY, resource.RLIMIT_FSIZE: reader.ROOM}
    return path.name == "limits" and all(resource.getrlimit(kind)[0] == most for kind, most in kinds.items())


def main() -> None:
    """Be a reader."""
    replaced: dict[str, Any] = {"probe": hostile_probe, "has_sound": limits}
    for name, function in replaced.items():
        setattr(probe, name, function)
    assert excerpt.__name__ in sys.modules
    reader.main()
