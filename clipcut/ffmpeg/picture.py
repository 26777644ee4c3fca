"""FFmpeg's filters that give any picture the output's size, shape and colours, pure.

What a source's pictures say of themselves ends here: they are made what the output says, and the words are taken off.
"""

from fractions import Fraction

from clipcut.ffmpeg.crops import UNCROPPED
from clipcut.ffmpeg.orientation import orientation_filters
from clipcut.ffmpeg.probe import VideoInfo
from clipcut.timebase import round_half_up
from clipcut.timeline import Output

_TAGS = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
_SILENCE = "sidedata=mode=delete"
"""Takes everything off a picture that isn't picture: an encoder writes orientation, light levels, 3D and captions into
its own stream, where they would hold for all clips."""


def fit_size(video: VideoInfo, output: Output) -> tuple[int, int]:
    """Return the even size in pixels that a picture is scaled to before bars or crop."""
    if output.fit == "stretch":
        return output.width, output.height
    across, down = video.shown_size
    sideways = video.orientation.is_sideways
    width, height = Fraction(across), Fraction(down)
    width, height = (width, height * video.sample_aspect) if sideways else (width * video.sample_aspect, height)
    scales = output.width / width, output.height / height
    scale = min(scales) if output.fit == "contain" else max(scales)

    def even(length: Fraction, limit: int) -> int:
        rounded = max(2, 2 * round_half_up(length * scale / 2))
        return min(limit, rounded) if output.fit == "contain" else max(limit, rounded)

    return even(width, output.width), even(height, output.height)


def _source_matrix(video: VideoInfo) -> str:
    """Name the colour matrix; a file that doesn't say gets what players assume: BT.601 for small pictures."""
    if video.matrix in (5, 6):
        return "bt601"
    if video.matrix in (9, 10):
        return "bt2020"
    return "bt601" if video.matrix == 2 and max(video.height, video.width * 9 // 16) < 720 else "bt709"


def _tone_mapping(video: VideoInfo) -> list[str]:
    """Return the filters that bring an HDR picture (PQ, HLG) to BT.709, through linear light."""
    curve = "smpte2084" if video.transfer == 16 else "arib-std-b67"
    return [
        f"setparams=range={_range(video)}:color_primaries=bt2020:color_trc={curve}:colorspace=bt2020nc",
        "zscale=t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv:c=left",
        "format=yuv420p",
    ]


def _range(video: VideoInfo) -> str:
    return "pc" if video.full_range or video.is_rgb else "tv"


def _scaling(video: VideoInfo, output: Output, *, tone_map: bool) -> list[str]:
    """Return the filters that give a picture its size and colours; none for one that has them."""
    width, height = fit_size(video, output)
    colours = f"in_color_matrix={_source_matrix(video)}:in_range={_range(video)}"
    has_size = (width, height) == video.shown_size
    if video.is_hdr and tone_map:
        return [*([] if has_size else [f"scale={width}:{height}:flags=bicubic"]), *_tone_mapping(video)]
    filters = []
    if video.has_alpha:  # what is transparent becomes black
        filters += [f"scale=flags=bicubic:{colours}", "format=gbrap", "premultiply=inplace=1"]
        colours = "in_range=pc"
    has_colours = (video.pixel_format, _range(video), _source_matrix(video)) == ("yuv420p", "tv", "bt709")
    if not (has_size and has_colours):
        filters.append(f"scale={width}:{height}:flags=bicubic:{colours}:out_color_matrix=bt709:out_range=tv")
    return [*filters, "format=yuv420p"]


def _cropping(video: VideoInfo) -> list[str]:
    crop = video.crop
    if crop == UNCROPPED:
        return []
    width, height = video.width - crop.left - crop.right, video.height - crop.top - crop.bottom
    return [f"crop={width}:{height}:{crop.left}:{crop.top}"]


def conform_filters(video: VideoInfo, output: Output, *, tone_map: bool = True) -> list[str]:
    """Return the filters that give a picture the output's size, shape and colours.

    Args:
        video: The source's picture.
        output: The output's.
        tone_map: Whether this FFmpeg can map HDR to BT.709 (zscale); otherwise HDR comes out pale.
    """
    filters = [*_cropping(video), *orientation_filters(video.orientation)]
    filters += _scaling(video, output, tone_map=tone_map)
    width, height = fit_size(video, output)
    if output.fit == "contain" and (width, height) != (output.width, output.height):
        x, y = (output.width - width) // 4 * 2, (output.height - height) // 4 * 2
        filters.append(f"pad={output.width}:{output.height}:{x}:{y}:black")
    elif (width, height) != (output.width, output.height):
        x, y = (width - output.width) // 4 * 2, (height - output.height) // 4 * 2
        filters.append(f"crop={output.width}:{output.height}:{x}:{y}")
    return [*filters, "setsar=1", _TAGS, _SILENCE]
