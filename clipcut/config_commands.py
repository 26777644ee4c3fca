"""``clipcut config``: its two commands, each a few lines over ``config``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from clipcut.commands import ConfigOption, PlainCommand, VerboseOption, command_settings
from clipcut.config import change_file, file_to_change, settings_document, settings_lines, winning_variable
from clipcut.inputs import current_folder
from clipcut.jsonout import document_text
from clipcut.streams import say, tell

config_app = typer.Typer(
    name="config", help="Show the effective settings, or change one in the file.", no_args_is_help=True
)


@config_app.command(
    "show",
    cls=PlainCommand,
    epilog="Examples:\n\n  clipcut config show\n\n  clipcut config show --json --config night.toml",
)
def show_command(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print them as JSON.")] = False,
    config: ConfigOption = None,
    _verbose: VerboseOption = False,
) -> None:
    """Show every setting with its value and where it came from: default, file or environment."""
    settings = command_settings(config)
    if as_json:
        say(document_text(settings_document(settings)))
        return
    for line in settings_lines(settings):
        say(line)


@config_app.command(
    "set",
    cls=PlainCommand,
    epilog="Examples:\n\n"
    "  clipcut config set max_parallelism 6\n\n"
    "  clipcut config set max_placeholders 5% --config night.toml",
)
def set_command(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The setting's name in the file.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Its value, written as for the flag.")],
    config: ConfigOption = None,
    _verbose: VerboseOption = False,
) -> None:
    """Change one setting in the file, which is made if need be; comments and layout stay."""
    cwd = current_folder()
    change = change_file(file_to_change(config, os.environ, cwd), key, value, cwd)
    before = "not set" if change.before is None else change.before
    say(f"{key} = {change.after} in {_short(change.path, cwd)} (was {before})")
    if (name := winning_variable(change.option, os.environ)) is not None:
        tell(f"note: {name} is set to {os.environ[name]!r} here, and wins over the file")


def _short(path: Path, cwd: Path) -> str:
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
