"""Parameter sets that a container changes in the middle of a track, as they can stand among its pictures.

An MP4 of two recordings has two descriptions of its samples. A demuxer hands out the second one beside the first packet
that it holds for, where an excerpt's container has no place for it; every decoder also reads it in front of a keyframe.
"""

from collections.abc import Iterator

from clipcut.ffmpeg.coded import length_size, parameter_units

_AS_IS = ("mpeg4", "mpeg1video", "mpeg2video", "vc1")
"""Codecs whose description is a piece of their stream."""


def in_band(codec: str, description: bytes) -> bytes | None:
    """Return what to put in front of a keyframe; None if this codec knows no such thing.

    Args:
        codec: FFmpeg's name of it.
        description: What the container has of it: ``avcC``, ``hvcC``, or a piece of the stream.
    """
    if codec not in ("h264", "hevc"):
        return description if codec in _AS_IS else None
    if description[:1] != b"\1":
        return description  # with start codes, as the pictures then are
    if codec == "h264":
        size, units = length_size(description), list(parameter_units(description))
    else:
        size, units = (description[21] & 3) + 1 if len(description) > 22 else 0, list(_hevc_units(description))
    return b"".join(len(unit).to_bytes(size) + unit for unit in units) if size else None


def _hevc_units(description: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(description[22] if len(description) > 22 else 0):
        count = int.from_bytes(description[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            length = int.from_bytes(description[at : at + 2])
            if at + 2 + length > len(description) or not length:
                return
            yield description[at + 2 : at + 2 + length]
            at += 2 + length
