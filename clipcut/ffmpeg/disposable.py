"""Which packets of H.264 no other picture refers to: before a clip begins, they need not be decoded at all."""

from collections.abc import Callable, Iterator

_SLICES = (1, 2, 3, 4)
_HARMLESS = (6, 9, 12)
"""What else may stand in a packet that is left out: remarks (SEI), delimiters, filling."""

IsDisposable = Callable[[bytes], bool]


def _never(_: bytes) -> bool:
    return False


def _by_lengths(data: bytes, size: int) -> Iterator[int]:
    """Yield the first byte of each unit where its length, of ``size`` bytes, stands before it."""
    at = 0
    while at + size < len(data):
        yield data[at + size]
        at += size + int.from_bytes(data[at : at + size])


def _by_start_codes(data: bytes) -> Iterator[int]:
    """Yield the first byte of each unit where 0 0 1 stands before it."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        yield data[at + 3]
        at = data.find(b"\0\0\1", at + 3)


def _all_unreferred(heads: Iterator[int]) -> bool:
    has_slice = False
    for head in heads:
        kind, is_referred_to = head & 31, head & 0x60
        if kind in _SLICES:
            has_slice = True
        if is_referred_to or (kind not in _SLICES and kind not in _HARMLESS):
            return False
    return has_slice


def disposable_test(codec: str, extradata: bytes | None) -> IsDisposable:
    """Return a test of a packet's bytes: whether every slice in it is marked as one that nothing refers to.

    A packet that carries anything else of weight, such as parameter sets, isn't, nor is one of another codec.

    Args:
        codec: The codec's name.
        extradata: What the container has of it; it says how units are told apart.
    """
    if codec != "h264":
        return _never
    if extradata and extradata[0] == 1 and len(extradata) > 6:
        size = (extradata[4] & 3) + 1
        return lambda data: _all_unreferred(_by_lengths(data, size))
    return lambda data: _all_unreferred(_by_start_codes(data))
