"""One name for facts: what things are known by from render to render."""

import hashlib
import json


def digest(*facts: object) -> str:
    """Return one name for facts; exact numbers are written out, so equal facts have equal names."""
    text = json.dumps(facts, default=str, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
