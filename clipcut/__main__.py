"""``python -m clipcut`` and the ``clipcut`` command: a light start, then the command line."""

import sys


def main() -> None:
    """Run the command line; ``--version`` alone answers without loading it."""
    if sys.argv[1:] == ["--version"]:
        from clipcut import __version__  # noqa: PLC0415

        sys.stdout.write(f"clipcut {__version__}\n")
        return
    from clipcut.cli import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
