"""Go through a source's packets in the order they are stored in, and pass on those that a clip needs."""

import itertools
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.disposable import disposable_test
from clipcut.ffmpeg.heads import head_of
from clipcut.ffmpeg.in_band import in_band
from clipcut.ffmpeg.need import SOUND_LEAD, SOUND_MARGIN, SOUND_SKEW, Need, Side, UncoveredError
from clipcut.ffmpeg.packets import PacketFiles
from clipcut.ffmpeg.picture_times import Row
from clipcut.ffmpeg.probe import MediaInfo, shown_pts
from clipcut.ffmpeg.seams import Seams

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

_BEYOND = Fraction(1)
"""Seconds after the clip that are decoded too where packets don't say when they are shown: their order is another."""

_RESTART = Fraction(1)
"""A clock that runs back by so many seconds begins again: another recording was put behind the first."""

_JUMP = Fraction(5)
"""No transport or program stream holds a picture for so many seconds: 0.7 are allowed between two times of it."""

SOUND_LAG = Fraction(10)
"""Sound that is missing this many seconds after its picture in the file isn't waited for."""


class Search:
    """Goes through packets in file order: finds the clip's keyframe, passes on what is needed, knows when to stop."""

    def __init__(
        self, info: MediaInfo, need: Need, video: "Stream", writers: PacketFiles, *, is_numbered: bool = False
    ) -> None:
        self._codec = info.video.codec
        self._frame_seconds = info.video.frame_seconds
        self._is_untimed, self._delay = info.video.is_untimed, info.video.delay
        self._need = need
        self._stream = video
        self._writers = writers
        self._tick = info.video.time_base
        self._sound_tick = info.audio.time_base if info.audio is not None else Fraction(0)
        self._keyframe: int | None = None
        self._later: list[Packet] = []
        self._shown_tick: int | None = None
        context = video.codec_context
        self._is_disposable = disposable_test(self._codec, context.extradata if context is not None else None)
        self._video_bytes: list[tuple[int, int]] = []
        self._sound_bytes: list[tuple[int, int]] = []
        self._seams = Seams(info.seams)
        self._has_seams = bool(info.seams)
        # The bounds in whole ticks: a packet is compared with them thousands of times, and Fractions cost 50 times more
        self._first_tick = floor(need.first / self._tick)
        self._begin_tick = floor(need.begin / self._tick)
        self._last_tick = floor((need.last + (_BEYOND if is_numbered else 0)) / self._tick)
        self._lag_tick = floor((need.last + SOUND_LAG) / self._tick)
        self._sound_ticks = _ticks_of_sound(need, self._sound_tick)
        self._sound_done = need.sound is None
        self._dts: int | None = None
        self._late = 0
        self._begins_hidden = False
        self._first: Fraction | None = None
        self._end: int | Fraction | None = None
        self._head = b""
        self.changes: list[int] = []
        """Which pictures of the clip are keyframes that say otherwise how they are coded than those before them."""
        self.pictures: list[int] = []
        self.place: tuple[int, int] = (-1, -1)
        """Where in the file the excerpt's keyframe and the last video packet that was seen begin; -1 if unknown."""
        self.has_sound = False
        self.is_odd = False
        self.restart: Fraction | None = None
        self.jump: tuple[Fraction, Fraction] | None = None
        self.rows: list[Row] | None = [] if is_numbered else None
        """What the packets of a numbered excerpt say of their times."""

    @property
    def found(self) -> bool:
        """Whether there was a keyframe at or before the clip's first picture."""
        return self._keyframe is not None and (not self._begins_hidden or self._shown_tick is not None)

    @property
    def keyframe(self) -> Fraction:
        """When the excerpt's first picture is shown."""
        return (self._keyframe or 0) * self._tick

    @property
    def saw_beyond(self) -> bool:
        """Whether the file goes on after the clip's last picture."""
        return self._dts is not None and self._dts > self._last_tick

    @property
    def end(self) -> Fraction | None:
        """When the last picture so far ends; None if there is none."""
        return self._end * self._tick if self._end is not None else None

    def take(self, packet: "Packet") -> bool:
        """Take the next packet; False when nothing more is needed."""
        if packet.dts is None and packet.pts is None and (packet.stream is not self._stream or not packet.size):
            return True  # the flush packet at the end
        if packet.stream is self._stream and packet.has_sidedata("new_extradata"):
            self._take_description(packet)
        if packet.stream is self._stream and self.rows is not None:
            self._take_numbered(packet, self.rows)
        elif packet.stream is self._stream:
            self._take_video(packet)
        else:
            self._take_sound(packet)
        return not self._is_done()

    def _take_description(self, packet: "Packet") -> None:
        """Take parameter sets that hold from here on.

        Raises:
            SourceError: ``refused``; there is no way to hand them on.
        """
        sets = in_band(self._codec, bytes(packet.get_sidedata("new_extradata")))
        if sets is None:
            words = f"the description of its pictures changes in the middle, which isn't read for {self._codec}"
            raise SourceError(Reason.REFUSED, words)
        self._writers.use_sets(self._stream, sets)

    def _take_numbered(self, packet: "Packet", rows: list[Row]) -> None:
        """Take what may be a picture, half of one, or none: the decoder will tell. Its time is estimated."""
        if not packet.size:
            return
        pts = packet.pts if not self._is_untimed else None
        stated = pts if pts is not None or packet.dts is None else packet.dts + self._delay
        at = stated if stated is not None else (self._dts or 0) + round(self._frame_seconds / self._tick)
        if not packet.is_discard:
            self._dts = at
        self._first = at * self._tick if self._first is None else self._first
        place = packet.pos if packet.pos is not None else -1
        # one picture too early: it may be a second field that is marked as a keyframe
        is_early = self._need.may_begin_at(at * self._tick + (self._frame_seconds if self.found else 0))
        if packet.is_keyframe and is_early:
            self._begin(at)
            self.place = (place, place)
            rows.clear()
        self.place = (self.place[0], max(self.place[1], place))
        leads = pts is not None and pts < (self._keyframe or 0) and not packet.is_discard
        if self._keyframe is None or leads or at > self._last_tick:
            return
        rows.append(Row(pts, packet.dts + self._delay if packet.dts is not None else None, packet.is_discard))
        self._video_bytes.append(_place(packet))
        self._writers.write_all([packet])

    def _take_video(self, packet: "Packet") -> None:
        if packet.pts is None:
            self.is_odd = True
            if packet.dts is None:
                return
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else packet.pts
        assert pts is not None  # noqa: S101  take() saw to it
        assert dts is not None  # noqa: S101
        self._first = pts * self._tick if self._first is None else self._first
        if self._has_seams:
            self._seams.picture(packet.pos, pts * self._tick)
        at = packet.pos if packet.pos is not None else -1
        # a keyframe that is hidden is none to begin at again: what it leads to may be shown only after the clip begins
        is_hidden_again = packet.is_discard and self._keyframe is not None
        if packet.is_keyframe and self._need.may_begin_at(pts * self._tick) and not is_hidden_again:
            self._begin(pts)
            self._begins_hidden = packet.is_discard
            self.place = (at, at)
        self.place = (self.place[0], max(self.place[1], at))
        if packet.is_keyframe:
            self._note_head(packet, pts)
        if packet.is_discard:
            self._take_hidden(packet)
            return
        # some muxers write all times of decoding too late: until then pictures of the clip may come
        self._late = max(self._late, dts - pts)
        dts -= self._late
        self._watch_clock(pts, dts)
        self._dts = dts
        if dts > self._last_tick or self._keyframe is None or pts < self._keyframe:
            return  # beyond the clip, before its keyframe, or a picture that leads the keyframe and lacks its reference
        self._note(packet)
        if self._is_passed(pts) and self._is_disposable(bytes(packet)):
            return
        self._later.append(packet)
        self._video_bytes.append(_place(packet))
        if pts <= self._last_tick:  # else it is needed only if a picture of the clip comes after it
            self._writers.write_all(self._later)
            self._later.clear()

    def _note_head(self, packet: "Packet", pts: int) -> None:
        head = head_of(self._codec, bytes(packet)) or self._head
        is_other = packet.has_sidedata("new_extradata") or head != (self._head or head)
        if is_other and self._keyframe is not None and self._keyframe < pts <= self._last_tick:
            self.changes.append(pts)
        self._head = head

    def _watch_clock(self, pts: int, dts: int) -> None:
        """Note where the source's clock begins again, or jumps while a picture of the clip is on display."""
        if self._dts is not None and dts < self._dts - _RESTART / self._tick:
            self.restart = self._dts * self._tick
        if self._dts is not None and dts > self._dts + _JUMP / self._tick and self._dts <= self._last_tick:
            is_shown = pts > self._first_tick and self._keyframe is not None
            self.jump = (self._dts * self._tick, dts * self._tick) if is_shown else self.jump

    def _take_hidden(self, packet: "Packet") -> None:
        """Take a picture that an edit list hides: its times are those of others, and others may refer to it."""
        if self._keyframe is not None and not self._is_disposable(bytes(packet)):
            self._later.append(packet)
            self._video_bytes.append(_place(packet))

    def _is_passed(self, pts: int) -> bool:
        """Tell whether a picture is off display again when the clip begins, as another came after it by then."""
        if self._shown_tick is not None and pts < self._shown_tick:
            return True
        if pts <= self._first_tick:
            self._shown_tick = pts
        return False

    def _begin(self, keyframe_pts: int) -> None:
        """Begin anew at a later keyframe: no picture before it is needed."""
        if self._keyframe is not None:
            self._writers.restart(self._stream)
            self._video_bytes.clear()
        self._keyframe = keyframe_pts
        self._later.clear()
        self.pictures.clear()
        self.changes.clear()
        self._end = self._shown_tick = None

    def _note(self, packet: "Packet") -> None:
        pts = shown_pts(packet, self._codec)
        if pts is None:
            return
        self.pictures.append(pts)
        end = pts + (packet.duration or self._frame_seconds / self._tick)
        self._end = max(self._end or 0, end)

    def _take_sound(self, packet: "Packet") -> None:
        if self._need.sound is None or packet.pts is None:
            return
        begin, end = packet.pts, packet.pts + (packet.duration or 0)
        if self._has_seams:
            self._seams.sound(packet.pos, begin * self._sound_tick, end * self._sound_tick)
        if begin >= self._sound_ticks[1]:
            self._sound_done = True
        elif end >= self._sound_ticks[0]:
            self.has_sound = True
            self._writers.write_all([packet])
            self._sound_bytes.append(_place(packet))

    def check_cover(self, info: MediaInfo) -> None:
        """See that a piece of a longer source, read to its end or as far as needed, holds all that the clip needs.

        Raises:
            UncoveredError: It doesn't, and the source has more.
            SourceError: ``truncated``; the source has a hole in the clip's range.
        """
        if info.has_bytes is not None and not all(
            info.has_bytes(first, end) for first, end in (*self._video_bytes, *self._sound_bytes)
        ):
            raise UncoveredError(Side.BEFORE)
        if (hole := self._seams.hole(self._need.first, self._need.last)) is not None:
            begin, end = (float(moment - info.video.zero) for moment in hole)
            words = f"{info.called}: a segment ends too soon, nothing is there from {begin:.3f} s to {end:.3f} s"
            raise SourceError(Reason.TRUNCATED, words)
        if info.has_before and (not self.found or self._lacks_lead()):
            raise UncoveredError(Side.BEFORE)
        if info.has_after and not self._is_done() and (not self._shows_last() or self._lacks_sound()):
            raise UncoveredError(Side.AFTER)

    def _lacks_lead(self) -> bool:
        """Tell whether the piece begins too late for its first sound to be exact."""
        return self._need.sound is not None and (self._first or 0) > self._need.sound[0] - SOUND_MARGIN

    def _shows_last(self) -> bool:
        """Tell whether the clip's last picture is among those of the piece, by how long pictures last here at least."""
        if self.saw_beyond or self.end is None:
            return self.saw_beyond
        ordered = sorted(set(self.pictures))
        shortest = min((after - before for before, after in itertools.pairwise(ordered)), default=None)
        sure = (ordered[-1] + shortest) * self._tick if shortest is not None else self.end
        return self._need.last < min(sure, self.end)

    def _lacks_sound(self) -> bool:
        """Tell whether sound of the clip's end may come after the piece's."""
        if self._sound_done or self._need.sound is None:
            return False
        return (self._dts or 0) * self._tick < self._need.sound[1] + SOUND_SKEW

    def _is_done(self) -> bool:
        if self._dts is None or self._dts <= self._begin_tick:
            return False
        if not self.found:
            return True
        is_enough = self.saw_beyond and (self._sound_done or self._dts > self._lag_tick)
        return is_enough and self._seams.is_settled


def _ticks_of_sound(need: Need, tick: Fraction) -> tuple[int, int]:
    """Return in ticks where the sound begins that is needed, with its lead, and where it ends."""
    if need.sound is None:
        return 0, 0
    return ceil((need.sound[0] - SOUND_LEAD) / tick), ceil(need.sound[1] / tick)


def _place(packet: "Packet") -> tuple[int, int]:
    """Return where in the file a packet's bytes are, ``[first, end)``; from its begin on if that isn't known."""
    return (packet.pos, packet.pos + packet.size) if packet.pos is not None and packet.pos >= 0 else (0, packet.size)
