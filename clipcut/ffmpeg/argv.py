"""FFmpeg's argument lists, pure: cut and conform one clip, conform the placeholder, encode the sound.

Every picture goes through the same steps: exact times, the frames of the slot, the output's shape and colours. Video
is encoded here, once; sound leaves as raw samples and is encoded once for the whole output.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, lcm
from pathlib import Path

import attrs

from clipcut.errors import Reason, SourceError
from clipcut.ffmpeg.excerpt import Excerpt
from clipcut.ffmpeg.need import Need
from clipcut.ffmpeg.packets import EXCERPT_FORMATS
from clipcut.ffmpeg.picture import conform_filters
from clipcut.ffmpeg.probe import ALPHA_DECODERS, CODECS, INPUT_FORMATS, SOUND_FORMATS, MediaInfo, VideoInfo
from clipcut.ffmpeg.shapes import SHOWINFO
from clipcut.plan import Edit
from clipcut.smart import limits_of
from clipcut.timebase import decimal_text, round_half_up
from clipcut.timeline import AudioProfile, Output, Soundtrack

PCM_BYTES = 4
"""Bytes per sample of the middle files: 32-bit float, little endian."""

_MAX_TICKS = 2**28
"""Fine ticks a second at most: FFmpeg 5 takes some timebases near its own limit, 2**31, for their neighbours."""
_HOLE = "0.015"
"""Sound that is missing for so many seconds is silence, less is taken for careless timestamps: a lost packet is more.

FFmpeg's own bound is 0.1 s: up to there, all that comes after a hole would be heard too early.
"""

_AS_STORED = ("-fflags", "+nofillin")
"""No decoding times are made up, which FFmpeg might believe more than the others."""

_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
_MAX_BENDS = 3000
"""So often may the times of a clip's pictures be irregular: each time makes FFmpeg's command longer."""

_MAX_PIXELS = 8192 * 8192


@attrs.frozen
class CutPlan:
    """How a clip's timestamps are judged and moved, in fine ticks of ``1/rate`` seconds.

    Attributes:
        rate: Fine ticks a second, a whole multiple of the excerpt's.
        origin: What is taken off every timestamp: just after the clip's start, so that a picture which begins exactly
            at the middle of an output frame is the one shown.
        pictures: The times of the pictures that must come out of the decoder, in this order, after that.
    """

    rate: int
    origin: int
    pictures: tuple[int, ...]


@attrs.frozen(kw_only=True)
class Targets:
    """What a clip's command makes: an H.264 file, and raw samples.

    Attributes:
        video, sound: Where.
        threads: How many encoder threads there are.
        parameters: The number of its parameter sets.
    """

    video: Path
    sound: Path
    threads: int
    parameters: int = 0


def need_of(edit: Edit, video: VideoInfo, fps: Fraction) -> Need:
    """Tell what an edit needs of its source, in the source file's own time."""
    if video.is_still:
        return Need(first=video.zero, last=video.zero, sound=None, end=video.zero, tolerance=1 / fps)
    start = video.zero + edit.clip.start
    return Need(
        first=start + Fraction(1, 2) / fps,
        last=start + (edit.slot.frames - Fraction(1, 2)) / fps,
        sound=None if edit.is_silent else (start, start + edit.slot.frames / fps),
        end=start + edit.clip.length,
        tolerance=1 / fps,
    )


def latest_pictures(edit: Edit, video: VideoInfo, fps: Fraction) -> list[int]:
    """Return, for each frame of a slot, the latest time of the picture that it shows, in ticks of the source."""
    start = video.zero + (0 if video.is_still else edit.clip.start)
    return limits_of(start, fps, video.time_base, edit.slot.frames)


def plan_cut(edit: Edit, video: VideoInfo, excerpt: Excerpt) -> CutPlan:
    """Choose ticks that are fine enough to say everything exactly, and move the clip's start to just before 0."""
    base = excerpt.time_base.denominator
    rate = base * max(1, _MAX_TICKS // base)
    if excerpt.places:
        return CutPlan(rate, 0, tuple(int(time * excerpt.time_base * rate) for time in excerpt.places))
    start = video.zero + excerpt.video_shift + (0 if video.is_still else edit.clip.start)
    origin = int(start * rate // 1) + 1
    # whole numbers, as there are many pictures: pts * step + shift, in a unit in which both are whole
    step, shift = video.time_base * rate, excerpt.video_shift * rate
    unit = lcm(step.denominator, shift.denominator)
    each, first = int(step * unit), int(shift * unit)
    return CutPlan(rate, origin, tuple((pts * each + first) // unit - origin for pts in excerpt.pictures))


def decode_argv(ffmpeg: str, path: Path, formats: str) -> list[str]:
    """Return the command that decodes a file's picture (stream 0) and sound (1), with a line for each piece of it.

    A line has the stream, two times, the duration in ticks (of sound: in samples), the bytes and a checksum.
    """
    return [*base_args(ffmpeg), *input_args(path, formats), "-map", "0:v:0", "-map", "0:a:0?", "-f", "framecrc", "-"]


def base_args(ffmpeg: str, level: str = "warning") -> list[str]:
    """Return how every command begins: the first error ends it, and ``level`` is the least that it tells of."""
    return [ffmpeg, "-nostdin", "-nostats", "-hide_banner", "-loglevel", f"level+{level}", "-xerror", "-y"]


def input_args(path: Path, formats: str) -> list[str]:
    """Return a file as an input: of these containers, decoded by one thread."""
    return [
        *("-threads", "1", "-max_pixels", str(_MAX_PIXELS)),
        *("-protocol_whitelist", "file", "-format_whitelist", formats, "-codec_whitelist", CODECS),
        *("-i", f"file:{path}"),
    ]


def _rate_text(fps: Fraction) -> str:
    return f"{fps.numerator}/{fps.denominator}"


def _chosen(cut: CutPlan, excerpt: Excerpt) -> list[str]:
    """Leave only the pictures of the clip, have a line written for each, and two that say what it is."""
    half_tick = cut.rate // excerpt.time_base.denominator // 2
    return [
        f"settb=1/{cut.rate}",
        f"setpts=PTS-{cut.origin}",
        f"trim=start_pts={cut.pictures[0] - half_tick}:end_pts={cut.pictures[-1] + half_tick + 1}",
        *_without_hidden(cut, excerpt),
        SHOWINFO,
        "metadata=mode=add:key=cut:value=1",
        "metadata=mode=print:file=-",
    ]


def _without_hidden(cut: CutPlan, excerpt: Excerpt) -> list[str]:
    """Leave out pictures that an edit list hides among those of the clip; their places are missing among the others."""
    if not excerpt.places:
        return []
    step = min((after - before for before, after in pairwise(cut.pictures)), default=0)
    joins = [(before, after) for before, after in pairwise(cut.pictures) if after - before > step]
    hidden = "+".join(f"gt(pts\\,{before})*lt(pts\\,{after})" for before, after in joins)
    return [f"select=not({hidden})"] if hidden else []


def _formula(values: Sequence[int]) -> str:
    """Write a row of whole numbers as a formula of their place N: a straight line, and each bend of it.

    Raises:
        SourceError: ``undecodable``; it bends too often.
    """
    steps = [after - before for before, after in pairwise(values)]
    bends = [place for place in range(1, len(steps)) if steps[place] != steps[place - 1]]
    if len(bends) > _MAX_BENDS:
        raise SourceError(Reason.UNDECODABLE, "its pictures have no times, and come too irregularly to be given some")
    line = f"{values[0]}+N*{steps[0] if steps else 0}"
    return "+".join([line, *(f"gt(N\\,{place})*(N-{place})*({steps[place] - steps[place - 1]})" for place in bends)])


def _placed(edit: Edit, video: VideoInfo, excerpt: Excerpt, fps: Fraction) -> list[str]:
    """Put pictures whose times in the excerpt are only places where they belong in the slot, and hold the last one.

    Each gets the first output frame that shows it for a time.
    """
    start = video.zero + edit.clip.start
    places = [max(0, ceil((pts * video.time_base - start) * fps - Fraction(1, 2))) for pts in excerpt.pictures]
    return [
        f"settb={fps.denominator}/{fps.numerator}",
        "tpad=stop=1:stop_mode=clone",
        f"setpts={_formula([*places, edit.slot.frames + ceil(fps)])}",
    ]


def _held(cut: CutPlan, slot_seconds: Fraction) -> list[str]:
    """Make the last picture last beyond the slot's end: no container says reliably how long its last picture is shown.

    A copy of it is set there; and a picture that began before the clip is moved up to its beginning.
    """
    end = int((slot_seconds + 1) * cut.rate)
    is_copy = f"eq(N\\,{len(cut.pictures)})"
    return ["tpad=stop=1:stop_mode=clone", f"setpts=if({is_copy}\\,{end}\\,max(PTS\\,-1))"]


def _slot_frames(frames: int, fps: Fraction) -> list[str]:
    """Turn pictures into exactly ``frames`` frames: each the one on display at its middle."""
    return [f"fps=fps={_rate_text(fps)}:round=near:start_time=0", f"trim=end_frame={frames}"]


def _encode_video(output: Output, targets: Targets, *x264: str) -> list[str]:
    if targets.parameters:
        x264 = (*x264, f"sps-id={targets.parameters}")  # the picture parameter set gets the same number
    tags = ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    tags += ["-chroma_sample_location", "left"]  # FFmpeg would take that of the source's first picture
    profile = output.video
    return [
        *("-fps_mode", "passthrough", "-c:v", "libx264", "-preset", profile.preset, "-crf", decimal_text(profile.crf)),
        *("-threads:v", str(targets.threads), "-pix_fmt", "yuv420p", *tags, "-map_metadata", "-1"),
        *("-map_chapters", "-1"),
        *(("-x264-params", ":".join(x264)) if x264 else ()),
        *("-video_track_timescale", str(output.fps.numerator), "-f", "mov", f"file:{targets.video}"),
    ]


def _conform_sound(audio: AudioProfile) -> list[str]:
    """Return the filters that give sound the output's rate and layout, its first sample at time 0."""
    return [
        f"aresample={audio.sample_rate}:async=1:min_comp=0:min_hard_comp={_HOLE}:first_pts=0",
        f"aformat=sample_fmts=flt:channel_layouts={_LAYOUTS[audio.channels]}",
    ]


def _gain(gain_db: Fraction) -> list[str]:
    return [f"volume={decimal_text(gain_db)}dB:precision=float"] if gain_db else []


def _exactly(samples: int) -> list[str]:
    return [f"apad=whole_len={samples}", f"atrim=end_sample={samples}"]


def sound_facts(edit: Edit) -> tuple[object, ...]:
    """Return what shapes a clip's sound beside its length; two that are alike in it sound alike."""
    return edit.is_silent, edit.clip.gain_db


def _sound_filters(edit: Edit, audio: AudioProfile) -> list[str]:
    return [*_conform_sound(audio), *_gain(edit.clip.gain_db), *_exactly(edit.slot.samples)]


def encode_sound(target: Path) -> list[str]:
    """Return the arguments that make raw samples of a clip's sound."""
    return ["-map_metadata", "-1", "-c:a", "pcm_f32le", "-f", "f32le", f"file:{target}"]


def cut_argv(
    ffmpeg: str,
    edit: Edit,
    info: MediaInfo,
    excerpt: Excerpt,
    output: Output,
    targets: Targets,
    *,
    tone_map: bool = True,
    heard: Edit | None = None,
) -> list[str]:
    """Return the command that cuts one clip from its excerpt and conforms it.

    It writes to standard output one line ``frame:… pts:…`` per picture that came out of the decoder within the clip,
    before anything is repeated to fill a slot, and to standard error what each is, for ``Shapes``. ``tone_map`` tells
    whether this FFmpeg can map HDR to BT.709; ``heard`` is the edit whose sound is made, if it isn't the same.
    """
    cut = plan_cut(edit, info.video, excerpt)
    if excerpt.places:
        placed = _placed(edit, info.video, excerpt, output.fps)
    else:
        placed = _held(cut, edit.slot.frames / output.fps)
    picture = [
        *_chosen(cut, excerpt),
        *placed,
        *(["bwdif=mode=send_frame:deint=interlaced"] if info.video.is_interlaced else []),
        *_slot_frames(edit.slot.frames, output.fps),
        *conform_filters(info.video, output, tone_map=tone_map),
    ]
    argv = [*base_args(ffmpeg, "info"), "-copyts", *_picture_input(info, excerpt)]
    argv += [*_AS_STORED, *input_args(excerpt.sound, EXCERPT_FORMATS)] if excerpt.sound is not None else []
    argv += ["-filter_threads", "1"]
    argv += ["-map", "0:v:0", "-vf", ",".join(picture), *_encode_video(output, targets)]
    if excerpt.sound is not None:
        argv += sound_of(heard or edit, info, excerpt.sound_shift, output.audio, targets.sound)
    return argv


def look_argv(ffmpeg: str, edit: Edit, info: MediaInfo, excerpt: Excerpt) -> list[str]:
    """Return the command that decodes a clip's pictures and says what each is, for ``Shapes``, and makes nothing."""
    picture = _chosen(plan_cut(edit, info.video, excerpt), excerpt)
    argv = [*base_args(ffmpeg, "info"), "-copyts", *_picture_input(info, excerpt), "-filter_threads", "1"]
    argv += ["-map", "0:v:0", "-vf", ",".join(picture), "-fps_mode", "passthrough"]
    return [*argv, "-c:v", "wrapped_avframe", "-f", "null", "-"]


def _picture_input(info: MediaInfo, excerpt: Excerpt) -> list[str]:
    return ["-noautorotate", *_AS_STORED, *_decoder(info.video), *input_args(excerpt.video, EXCERPT_FORMATS)]


def _decoder(video: VideoInfo) -> list[str]:
    """Name the decoder of the next input where FFmpeg's own choice doesn't see all of the picture."""
    return ["-c:v", ALPHA_DECODERS[video.codec]] if video.has_alpha_layer else []


def sound_of(edit: Edit, info: MediaInfo, shift: Fraction, audio: AudioProfile, target: Path) -> list[str]:
    """Return the arguments that make a clip's sound of a command's second input, whose times are later by ``shift``."""
    start = info.video.zero + edit.clip.start + shift
    begin = f"asetpts=PTS-round({start.numerator}/{start.denominator}/TB)"
    filters = [begin, "atrim=start_pts=0", *_sound_filters(edit, audio)]
    return ["-map", "1:a:0", "-af", ",".join(filters), *encode_sound(target)]


def placeholder_argv(
    ffmpeg: str,
    edit: Edit,
    asset: MediaInfo | None,
    output: Output,
    targets: Targets,
    *,
    in_order: bool = False,
) -> list[str]:
    """Return the command that fills a slot with the placeholder, looped or cut; with ``asset`` None, plain black.

    ``in_order`` asks for no frame that needs a later one. That is a matter of choice and not of form for x264, so the
    parameter sets are those of every other clip; the choice is not certain for every preset.
    """
    size, rate = f"{output.width}x{output.height}", _rate_text(output.fps)
    if asset is None:
        source = ["-f", "lavfi", "-i", f"color=c=black:s={size}:r={rate}"]
        conform: Sequence[str] = conform_filters(_plain(output), output)
    else:
        source = ["-noautorotate", "-stream_loop", "-1", *_decoder(asset.video)]
        source += input_args(asset.path, "mov,mp4,matroska,webm,mpegts,avi")
        conform = conform_filters(asset.video, output)
    sign_of_life = ["metadata=mode=add:key=cut:value=1", "metadata=mode=print:file=-"]
    picture = [f"fps=fps={rate}:round=near", f"trim=end_frame={edit.slot.frames}", *sign_of_life, *conform]
    argv = [*base_args(ffmpeg), *source, "-filter_threads", "1"]
    video_map = f"0:{asset.video.index}" if asset is not None else "0:v:0"
    argv += ["-map", video_map, "-vf", ",".join(picture)]
    argv += _encode_video(output, targets, *(["b-bias=-100"] if in_order else []))
    if asset is not None and asset.audio is not None and not edit.is_silent:
        sound = ",".join(_sound_filters(edit, output.audio))
        argv += ["-map", f"0:{asset.audio.index}", "-af", sound, *encode_sound(targets.sound)]
    return argv


def _plain(output: Output) -> VideoInfo:
    """Describe a picture that already has the output's form."""
    return VideoInfo(
        index=0,
        codec="rawvideo",
        time_base=1 / output.fps,
        zero=Fraction(0),
        width=output.width,
        height=output.height,
        sample_aspect=Fraction(1),
        frame_seconds=1 / output.fps,
        pixel_format="yuv420p",
        full_range=False,
        matrix=1,
    )


def soundtrack_argv(ffmpeg: str, track: Soundtrack, audio: AudioProfile, samples: int, target: Path) -> list[str]:
    """Return the command that makes a soundtrack exactly ``samples`` samples long, raw, from its offset on.

    A negative offset puts silence before it; what is too long is cut, what is too short is followed by silence.
    """
    offset = round_half_up(track.offset * audio.sample_rate)
    filters = _conform_sound(audio)
    if offset > 0:
        filters += [f"atrim=start_sample={offset}", "asetpts=N"]
    elif offset < 0:
        filters.append(f"adelay=delays={-offset}S:all=1")
    filters += [*_gain(track.gain_db), *_exactly(samples)]
    argv = [*base_args(ffmpeg), *input_args(Path(track.path), f"{INPUT_FORMATS},{SOUND_FORMATS}")]
    return [*argv, "-map", "0:a:0", "-af", ",".join(filters), *encode_sound(target)]


def sound_argv(ffmpeg: str, audio: AudioProfile, target: Path, mix_with: Path | None = None) -> list[str]:
    """Return the command that encodes the output's sound to an MP4 file.

    Args:
        ffmpeg: The program; it reads raw samples of the output's form on its standard input.
        audio: The output's form.
        target: The file to make.
        mix_with: A file of raw samples that is added to them; None for none.
    """
    raw = ["-f", "f32le", "-ar", str(audio.sample_rate), "-ac", str(audio.channels)]
    argv = [ffmpeg, "-hide_banner", "-loglevel", "level+warning", "-xerror", "-y"]
    argv += ["-protocol_whitelist", "pipe", *raw, "-i", "pipe:0"]
    if mix_with is not None:
        argv += ["-protocol_whitelist", "file", *raw, "-i", f"file:{mix_with}"]
        argv += ["-filter_complex", "[0:a][1:a]amix=inputs=2:duration=first:normalize=0"]
    return [*argv, "-c:a", "aac", "-b:a", audio.bitrate, "-map_metadata", "-1", "-f", "mp4", f"file:{target}"]
