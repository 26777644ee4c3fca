"""clipcut turns a timeline of moments in long videos into one frame-exact video.

Rendering is the business of the command, ``clipcut render``. From Python a timeline can be read and checked::

    from pathlib import Path

    import clipcut

    try:
        timeline = clipcut.load_timeline(Path("mix.json").read_bytes(), "mix.json")
        print(len(timeline.clips), "clips,", sum(clip.length for clip in timeline.clips), "seconds")
    except clipcut.TimelineError as error:
        for mistake in error.mistakes:
            print(mistake.where, mistake.what)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipcut.errors import ClipcutError as ClipcutError
    from clipcut.errors import TimelineError as TimelineError
    from clipcut.jsonio import load_timeline as load_timeline

__version__ = "0.1.0"
__all__ = ["ClipcutError", "TimelineError", "__version__", "load_timeline"]

_HOMES = {"ClipcutError": "errors", "TimelineError": "errors", "load_timeline": "jsonio"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that ``import clipcut`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"clipcut.{_HOMES[name]}"), name)
