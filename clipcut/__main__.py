"""``python -m clipcut`` and the ``clipcut`` command: a light start, then the command line."""

import os
import signal
import sys


def _leave_at_signals() -> None:
    """End at once with the right code while there is little to clean up; what was ignored at start stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _: object) -> None:
    """Remove the file that is just being written, if any, and end."""
    if (files := sys.modules.get("clipcut.files")) is not None:
        files.remove_temporaries()
    os._exit(128 + number)


def main() -> None:
    """Run the command line; ``--version`` alone answers without loading it."""
    _leave_at_signals()
    from clipcut.streams import finish_stdout, open_missing  # noqa: PLC0415

    open_missing()
    if sys.argv[1:] == ["--version"]:
        from clipcut import __version__  # noqa: PLC0415

        if not finish_stdout(f"clipcut {__version__}\n"):
            sys.exit(1)
        return
    from clipcut.cli import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
