"""What stands before a picture in a stream that says of itself how its pictures are coded, pure.

FFmpeg's filters take the shape of pixels from the first picture that they get, and no later one changes it. So a clip
is parted where this changes.
"""

import re

_SETS = {
    "mpeg1video": re.compile(rb"\x00\x00\x01\xb3(.{4})", re.DOTALL),  # size, shape and rate
    "mpeg2video": re.compile(rb"\x00\x00\x01\xb3(.{4})", re.DOTALL),
    "mpeg4": re.compile(rb"\x00\x00\x01[\x20-\x2f](.+?)(?=\x00\x00\x01|$)", re.DOTALL),
    "h264": re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67](.+?)(?=\x00\x00\x01|\x00\x00\x00|$)", re.DOTALL),
    "hevc": re.compile(rb"\x00\x00\x01\x42\x01(.+?)(?=\x00\x00\x01|\x00\x00\x00|$)", re.DOTALL),
}
_MOST_BYTES = 4096
"""How far into a packet its head is looked for."""


def head_of(codec: str, data: bytes) -> bytes:
    """Return what a keyframe brings that says how it and later ones are coded; nothing where that is said elsewhere.

    Args:
        codec: FFmpeg's name of the codec.
        data: The beginning of the keyframe's packet, or all of it.
    """
    pattern = _SETS.get(codec)
    return b"".join(pattern.findall(data[:_MOST_BYTES])) if pattern is not None else b""
