"""When pictures are shown whose packets don't say it, or say it wrongly: found out from what a decoder gives.

A transport stream may give a time for keyframes only, or for every other picture; AVI gives none at all; in a raw
stream that was wrapped carelessly the times are those of decoding; two packets may make one picture (its fields), and
one packet none. So the packets are numbered and decoded, and each picture is known by the packet that it came from.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from clipcut.timebase import round_half_up

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream


@attrs.frozen
class Row:
    """What a packet says of its time, in ticks: when it is shown, and when it is decoded; None for nothing.

    ``is_hidden`` tells that an edit list hides what is in it.
    """

    pts: int | None
    dts: int | None
    is_hidden: bool = False


_HEAD = 32
"""So many packets from a file's first keyframe on are decoded to find its first picture."""


def decoded_order(container: "InputContainer") -> list[int]:
    """Decode an open file whose packets have their numbers for times.

    Returns:
        The time of the packet that each picture came from, in the file's ticks, in the order they are shown in; -1
        where the decoder doesn't tell.

    Raises:
        av.FFmpegError: It can't be decoded.
    """
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    return [frame.pts if frame.pts is not None else -1 for frame in container.decode(stream)]


@attrs.frozen
class First:
    """A file's first picture, in ticks: when it is shown, and how much later that is than it is decoded."""

    time: int
    delay: int


def first_picture(container: "InputContainer", stream: "Stream", frame: Fraction, *, is_untimed: bool) -> First | None:
    """Find the first picture that a decoder gives from a file's first keyframe on.

    Args:
        container: The file, open at its beginning, its times as they are stored.
        stream: Its pictures.
        frame: How many ticks a picture usually lasts.
        is_untimed: Whether the container never says when a picture is shown. Then it is when the decoder gives it, as
            for every player.

    Returns:
        None if it can't be told.

    Raises:
        av.FFmpegError: It can't be decoded.
    """
    rows: list[Row] = []
    order: list[int] = []
    context = stream.codec_context
    context.thread_count = 1
    delay = 0
    for packet in container.demux(stream):
        if packet.size and (rows or packet.is_keyframe):
            rows.append(Row(None if is_untimed else packet.pts, packet.dts))
            packet.pts = packet.dts = len(rows) - 1
            delay = len(rows) - 1 if not order else delay
            order += [picture.pts if picture.pts is not None else -1 for picture in context.decode(packet)]
        if len(rows) == _HEAD:
            break
    order += [picture.pts if picture.pts is not None else -1 for picture in context.decode(None)]
    times = times_of(rows, order, frame)
    if not times:
        return None
    late = (rows[delay].dts or 0) - (rows[0].dts or 0) if is_untimed else 0
    return First(times[0] + late, late)


def ranks_of(order: Sequence[int], packets: int) -> list[int]:
    """Return for each packet which picture it makes, counted in the order they are shown in.

    One that makes none, like a second field, counts as part of what comes before it.
    """
    ranks = {number: rank for rank, number in reversed(list(enumerate(order)))}
    found: list[int] = []
    for number in range(packets):
        found.append(ranks.get(number, found[-1] if found else 0))
    return found


def times_of(rows: Sequence[Row], order: Iterable[int], frame: Fraction) -> list[int] | None:
    """Tell when each picture is shown.

    Those whose packet says so are shown then, and those between them at even distances. Where no packet says so, or
    what they say runs back, the times of decoding are meant: pictures are shown in their order, one for each.

    Args:
        rows: What the packets say, in the order they are stored in.
        order: Which packet each picture came from, in the order they are shown in.
        frame: How many ticks a picture usually lasts.

    Returns:
        The times in ticks, never falling; None if there are none that can be trusted.
    """
    numbers = list(order)
    if not numbers or any(not 0 <= number < len(rows) for number in numbers):
        return None
    seen: set[int] = set()
    known: list[tuple[int, int]] = []
    for place, number in enumerate(numbers):
        pts = rows[number].pts
        if pts is not None and number not in seen:  # a second picture of a packet has no time of its own
            known.append((place, pts))
        seen.add(number)
    if known and all(before[1] <= after[1] for before, after in pairwise(known)):
        return _between(known, len(numbers), frame)
    stated = [rows[number].dts if rows[number].dts is not None else rows[number].pts for number in sorted(seen)]
    times = [time for time in stated if time is not None]
    if len(times) != len(numbers) or any(before >= after for before, after in pairwise(times)):
        return None
    return times


def _between(known: Sequence[tuple[int, int]], count: int, frame: Fraction) -> list[int]:
    """Fill in the times between those that are known, and before and after them."""
    times: list[int] = []
    first_place, first = known[0]
    times += [round_half_up(first - (first_place - place) * frame) for place in range(first_place)]
    for (place, time), (following, end) in pairwise(known):
        step = Fraction(end - time, following - place)
        times += [round_half_up(time + number * step) for number in range(following - place)]
    last_place, last = known[-1]
    times += [round_half_up(last + number * frame) for number in range(count - last_place)]
    return times
