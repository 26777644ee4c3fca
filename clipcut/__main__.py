"""``python -m clipcut`` and the ``clipcut`` command: a light start, then the command line."""

import os
import signal
import sys


def _insist_on_utf8() -> None:
    """Begin once more in UTF-8 mode where file names could only have ASCII letters.

    Python does so by itself in the locale ``POSIX``, unless it was told not to (``PYTHONUTF8=0``).
    """
    is_told = sys.orig_argv[1:3] == ["-X", "utf8"]
    if sys.getfilesystemencoding() == "ascii" and sys.executable and not is_told:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606  the same program


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
    _insist_on_utf8()
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
