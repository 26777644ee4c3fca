"""How a file's pictures are to be shown, with PyAV: which way up, what is cut off, and what else is said of them.

Files may be hostile, so a render has this done in a child (see ``readers``).
"""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from clipcut.ffmpeg.crops import UNCROPPED, Crop, read_crops
from clipcut.ffmpeg.orientation import Orientation, exif_orientation, orientation_of_matrix
from clipcut.ffmpeg.probe import ALPHA_DECODERS, CODECS, MediaInfo, Stated, VideoInfo, open_media, probe
from clipcut.ffmpeg.pyav import exact
from clipcut.ffmpeg.tags import first_picture, tags_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ALPHA = 1
"""What Matroska numbers an addition to a block that is an alpha channel."""

_STILLS = ("mjpeg", "png", "webp")
"""Codecs whose every picture may bring EXIF."""

_UNSTATED = 2
_HARMLESS = ("A53_CC", "PANSCAN", "AFD", "FILM_GRAIN_PARAMS")
"""What no container says for a whole track."""


def probe_shown(path: Path) -> MediaInfo:
    """Look into a file, and find out how its pictures are to be shown. Blocks; have a reader do it.

    Raises:
        SourceError: ``missing_file``, ``undecodable`` or ``no_video``.
    """
    info = probe(path)
    return attrs.evolve(info, video=_shown(path, info.video))


def _shown(path: Path, video: VideoInfo) -> VideoInfo:
    with open_media(path, is_packets_only=True) as container:
        stream = container.streams.video[[one.index for one in container.streams.video].index(video.index)]
        video = attrs.evolve(video, crop=_crop(path, video, container.streams.video.index(stream)))
        if video.codec in ALPHA_DECODERS and _has_alpha_layer(stream):
            return attrs.evolve(video, pixel_format="yuva420p", has_alpha_layer=True)
        if video.codec in _STILLS:
            return attrs.evolve(video, orientation=_of_still(stream))
        frame = _decoded(stream) if video.codec in CODECS.split(",") else None
    if frame is None:
        return video  # whoever decodes all of it says what is wrong
    data = tags_of(frame).data
    turned = orientation_of_matrix(data["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in data else Orientation.UPRIGHT
    is_tagged = any(name not in _HARMLESS for name in data)
    return attrs.evolve(video, orientation=turned, is_tagged=is_tagged, stated=_stated(stream, frame))


def _stated(stream: "VideoStream", frame: "VideoFrame") -> Stated:
    span, _, transfer, matrix = tags_of(frame).colours
    return Stated(
        aspect=exact(stream.codec_context.sample_aspect_ratio),
        full_range={1: False, 2: True}.get(span),
        matrix=matrix if matrix != _UNSTATED else None,
        transfer=transfer if transfer != _UNSTATED else None,
    )


def _crop(path: Path, video: VideoInfo, number: int) -> Crop:
    size = video.width, video.height
    crops = read_crops(path, size)
    return crops[number] if number < len(crops) and crops[number].fits(*size) else UNCROPPED


def _has_alpha_layer(stream: "VideoStream") -> bool:
    """Tell whether the first picture has one, whatever the file's head says: some muxers leave that out."""
    packet = next(iter(stream.container.demux(stream)))
    added = [bytes(one) for one in packet.iter_sidedata() if one.data_type == "matroska_block_additional"]
    stream.container.seek(0)
    return any(int.from_bytes(one[:8]) == _ALPHA for one in added)


def _of_still(stream: "VideoStream") -> Orientation:
    packet = next(iter(stream.container.demux(stream)))
    return exif_orientation(bytes(packet)) if packet.size else Orientation.UPRIGHT


def _decoded(stream: "VideoStream") -> "VideoFrame | None":
    import av  # noqa: PLC0415

    with contextlib.suppress(av.FFmpegError):
        return first_picture(stream.container, stream)
    return None
