"""What a file says of its pictures beside the pictures: how they lie, how bright they get, that they are 3D.

Some of it stands in the container and some in the pictures' own stream; a decoder puts all of it on what it decodes. So
one picture is decoded to find out, with PyAV.
"""

from typing import TYPE_CHECKING

import attrs

from clipcut.ffmpeg.pyav import side_data

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MOST_PACKETS = 200
"""How many packets are looked at for the first keyframe."""

WORDS = {
    "DISPLAYMATRIX": "turned or mirrored (display matrix)",
    "MASTERING_DISPLAY_METADATA": "mastered on an HDR display",
    "CONTENT_LIGHT_LEVEL": "as bright as HDR (content light level)",
    "STEREO3D": "3D",
    "SPHERICAL": "spherical (360°)",
    "ICC_PROFILE": "of a colour profile of their own",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "AMBIENT_VIEWING_ENVIRONMENT": "for a certain light in the room",
    "PANSCAN": "to be panned and scanned",
    "AFD": "of an active format (AFD)",
    "A53_CC": "closed captioned",
    "FILM_GRAIN_PARAMS": "to be given film grain",
}
"""What changes how a player shows a picture, by PyAV's name, in words that follow "its pictures are tagged"."""

BT709 = (1, 1, 1, 1)
"""Range, primaries, transfer curve and matrix of every output, in FFmpeg's numbers; 2 is unstated, of a range 0."""


@attrs.frozen
class Tags:
    """What is said of a picture.

    Attributes:
        data: Its side data that changes how it is shown, by PyAV's names.
        colours: Range, primaries, transfer curve and matrix, in FFmpeg's numbers.
    """

    data: "dict[str, bytes]"
    colours: tuple[int, int, int, int]

    @property
    def problems(self) -> list[str]:
        """What an output's pictures mustn't be, in words."""
        found = list(dict.fromkeys(words for name, words in WORDS.items() if name in self.data))
        if self.colours != BT709:
            found.append("of other colours than BT.709 in limited range")
        return found


def tags_of(frame: "VideoFrame") -> Tags:
    """Return what is said of a picture."""
    found = {name: data for name, data in side_data(frame).items() if name in WORDS}
    colours = (frame.color_range, frame.color_primaries, frame.color_trc, frame.colorspace)
    a, b, c, d = (int(one) for one in colours)
    return Tags(found, (a, b, c, d))


def first_picture(container: "InputContainer", stream: "VideoStream") -> "VideoFrame | None":
    """Decode a file's first keyframe, and nothing more: of a file that is being fetched, the rest may not be there.

    Returns:
        The picture; None if there is none within reach, or nothing comes of the packet alone.

    Raises:
        av.FFmpegError: It can't be decoded.
    """
    stream.codec_context.thread_count = 1  # it is one picture
    for count, packet in enumerate(container.demux(stream)):
        if packet.is_keyframe and packet.size:
            return next(iter([*packet.decode(), *stream.decode(None)]), None)
        if count > _MOST_PACKETS:
            break
    return None
