"""Transport streams: whether a packet begins wherever one should.

A demuxer passes over a damaged place and says nothing: the pictures in it would be missing, and nobody would know.
"""

from pathlib import Path

PACKET = 188
_SYNC = b"G"
_PACKETS = PACKET * 4096


def is_transport_stream(head: bytes) -> bool:
    """Know a transport stream by its first bytes: two packets, or one where there are no more."""
    return head[:1] == _SYNC and (len(head) == PACKET or head[PACKET : PACKET + 1] == _SYNC)


def find_damage(path: Path, first: int = 0, end: int | None = None) -> int | None:
    """Return where in a file a packet should begin and doesn't, in bytes; None if all are there. Blocks.

    Args:
        path: The file.
        first: Where a packet begins.
        end: Where to stop; None for the file's end.
    """
    at = first
    with path.open("rb") as file:
        file.seek(first)
        while data := file.read(_PACKETS if end is None else max(0, min(_PACKETS, end - at))):
            begins = data[::PACKET]
            fine = len(begins) - len(begins.lstrip(_SYNC))
            if fine < len(begins):
                return at + fine * PACKET
            at += len(data)
    return None
