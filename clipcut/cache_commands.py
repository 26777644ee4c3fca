"""``clipcut cache``: look into the cache of finished clips, or empty it."""

from pathlib import Path
from typing import Annotated

import trio
import typer

from clipcut.commands import ConfigOption, PlainCommand, VerboseOption, command_settings
from clipcut.errors import ClipcutError
from clipcut.jsonout import document_text
from clipcut.settings import Settings
from clipcut.streams import say
from clipcut.summary import count_text
from clipcut.user_folders import why_no_cache

CacheDirOption = Annotated[
    str | None,
    typer.Option("--cache-dir", metavar="DIR", help="The cache's folder. [dim]default: in the user's cache folder[/]"),
]

cache_app = typer.Typer(name="cache", help="Look into the cache of finished clips, or empty it.", no_args_is_help=True)


def _settings(config: str | None, cache_dir: str | None) -> Settings:
    return command_settings(config, cache_dir=cache_dir)


@cache_app.command("info", cls=PlainCommand, epilog="Example:\n\n  clipcut cache info --json")
def info_command(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print it as JSON.")] = False,
    cache_dir: CacheDirOption = None,
    config: ConfigOption = None,
    _verbose: VerboseOption = False,
) -> None:
    """Say where the cache is, what it holds and how much it may hold."""
    from clipcut.cache.place import cache_info, cache_root  # noqa: PLC0415  a light start

    settings = _settings(config, cache_dir)
    root = cache_root(settings)
    info = cache_info(root)
    if as_json:
        path = str(root) if root is not None else None
        facts = {"path": path, "clips": info.clips, "segments": info.segments, "bytes": info.size}
        say(document_text(facts | {"limit": settings.cache_size}))
        return
    if root is None:
        say(f"there is no cache: {why_no_cache()}")
        return
    say(f"{root}")
    say(f"{count_text(info.clips, 'finished clip')}, {count_text(info.segments, 'segment')} for unfinished ones")
    say(f"{info.size / 1e6:.1f} MB of {settings.cache_size / 1e6:.1f} MB")


def _was_made(root: Path) -> bool:
    """Tell whether a cache is there; raises ``OSError`` where that can't be seen, which ``Path.is_dir`` may hide."""
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


@cache_app.command("clear", cls=PlainCommand, epilog="Example:\n\n  clipcut cache clear")
def clear_command(
    cache_dir: CacheDirOption = None, config: ConfigOption = None, _verbose: VerboseOption = False
) -> None:
    """Remove everything from the cache; a render at work goes on, and makes anew what it has not found yet."""
    from clipcut.cache.place import cache_info, cache_root, clear_cache  # noqa: PLC0415

    root = cache_root(_settings(config, cache_dir))
    if root is None:
        say(f"there is no cache to clear: {why_no_cache()}")
        return
    info = cache_info(root)
    try:
        if _was_made(root):
            trio.run(clear_cache, root)
    except OSError as exc:
        raise ClipcutError(f"The cache can't be removed from {root}: {exc.strerror}.") from exc
    say(f"removed {count_text(info.clips, 'finished clip')}, {info.size / 1e6:.1f} MB, from {root}")
