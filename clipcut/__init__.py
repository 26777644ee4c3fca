"""clipcut turns a timeline of moments in long videos into one frame-exact video."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipcut.errors import ClipcutError as ClipcutError
    from clipcut.jsonio import load_timeline as load_timeline
    from clipcut.pipeline import render as render
    from clipcut.settings import Settings as Settings

__version__ = "0.1.0"
__all__ = ["ClipcutError", "Settings", "__version__", "load_timeline", "render"]

_HOMES = {"ClipcutError": "errors", "Settings": "settings", "load_timeline": "jsonio", "render": "pipeline"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that ``import clipcut`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"clipcut.{_HOMES[name]}"), name)
