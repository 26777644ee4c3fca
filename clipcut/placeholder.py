"""The placeholder clip: 3 s of black with a beep, carried by the wheel."""

from pathlib import Path


def packaged_placeholder() -> Path:
    """Return the placeholder clip that came with the install (in a checkout, the one in ``placeholder/``)."""
    package = Path(__file__).parent
    installed = package / "data" / "clip_placeholder.mp4"
    return installed if installed.exists() else package.parent / "placeholder" / "clip_placeholder.mp4"
