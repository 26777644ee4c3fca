"""Forms that a file may have: what muxers can be told to do, in one table; and what is really in a file.

``decode`` is the measure for all of them: FFmpeg alone, from the file's first byte to its last, with no seek.
"""

import itertools
import re
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
from media import CLICK_SECONDS, FrameCode, decode_strips, find_clicks, strip_filters, strip_levels

from clipcut.sources.file import matroska

SECONDS = 6
FPS = 30
RATE = 48000
CLICK_TOLERANCE = 0.002
"""Seconds by which a click may be heard too early or too late."""

_SLACK = 0.0005

_BT709 = ("-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-pix_fmt", "yuv420p", *_BT709, "-x264-params")
BASES: dict[str, tuple[str, ...]] = {
    "closed": (*X264, "bframes=3:scenecut=0:b-adapt=0"),
    "open": (*X264, "bframes=3:scenecut=0:b-adapt=0:open-gop=1"),
    "plain": (*X264, "bframes=0:scenecut=0"),
}
"""The sources that all forms are made of: with B-frames in closed and in open groups, and without."""

COPY = ("-c", "copy")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "15", "-b:v", "4M", "-sc_threshold", "1000000000", "-c:a", "mp2")
MPEG4 = ("-c:v", "mpeg4", "-bf", "2", "-g", "30", "-q:v", "3", "-sc_threshold", "1000000000", "-c:a", "mp3")
SOUND_FIRST = ("-map", "0:a", "-map", "0:v", *COPY)
SILENT = ("-map", "0:v", *COPY)


@attrs.frozen
class Form:
    """One form.

    Attributes:
        suffix: Chooses the container.
        args: What FFmpeg is told to make it of a base.
        bases: Which bases it is made of.
        edit: Changes its bytes afterwards.
        before: What FFmpeg is told of its input.
    """

    suffix: str
    args: tuple[str, ...]
    bases: tuple[str, ...] = ("closed",)
    edit: Callable[[bytes], bytes] = bytes
    before: tuple[str, ...] = ()


def _flags(*flags: str, maps: tuple[str, ...] = COPY, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    return (*maps, *more, "-movflags", "+".join(flags))


def two_edits(data: bytes) -> bytes:
    """Give each track of an MP4, whose movie box is at its end, two edits: its first 2 s, then its last 2 s."""
    at = data.rindex(b"moov") - 4
    head, moov = data[:at], data[at:]
    scale = struct.unpack_from(">I", moov, moov.index(b"mvhd") + 16)[0]
    for trak in reversed(list(_boxes(moov, 8, b"trak"))):
        begin, end = trak
        track = moov[begin:end]
        media_scale = struct.unpack_from(">I", track, track.index(b"mdhd") + 16)[0]
        elst = track.index(b"elst")
        skip = struct.unpack_from(">I", track, elst + 16)[0]
        entries = [(2 * scale, skip), (2 * scale, skip + 4 * media_scale)]
        body = struct.pack(">II", 0, 2) + b"".join(struct.pack(">IIHH", *each, 1, 0) for each in entries)
        edts = track.index(b"edts") - 4
        size = struct.unpack_from(">I", track, edts)[0]
        mine = struct.pack(">I4sI4s", len(body) + 16, b"edts", len(body) + 8, b"elst") + body
        track = track[:edts] + mine + track[edts + size :]
        moov = moov[:begin] + struct.pack(">I", len(track)) + track[4:] + moov[end:]
    return head + struct.pack(">I", len(moov)) + moov[4:]


def _boxes(data: bytes, at: int, kind: bytes) -> Iterator[tuple[int, int]]:
    while at + 8 <= len(data):
        size, found = struct.unpack_from(">I4s", data, at)
        if found == kind:
            yield at, at + size
        at += size


def times_at_keyframes(data: bytes) -> bytes:
    """Take the times off all pictures of a transport stream that are no keyframes."""
    out = bytearray(data)
    for at in range(0, len(data), 188):
        has_field = data[at + 3] & 0x20 and data[at + 4]
        payload = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        is_keyframe = has_field and data[at + 5] & 0x40
        if data[at + 1] & 0x40 and data[payload : payload + 4] == b"\0\0\1\xe0" and not is_keyframe:
            out[payload + 7] &= 0x3F
            length = data[payload + 8]
            out[payload + 9 : payload + 9 + length] = b"\xff" * length
    return bytes(out)


def from_second_keyframe(data: bytes) -> bytes:
    """Leave of a transport stream its tables, and what comes from the second keyframe of its pictures on."""
    begins = [at for at in range(0, len(data), 188) if data[at + 1] & 0x5F == 0x41 and data[at + 3] & 0x20]
    keys = [at for at in begins if data[at + 4] and data[at + 5] & 0x40 and data[at + 2] == 0]
    return data[: 3 * 188] + data[keys[1] :]


def without_cues(data: bytes) -> bytes:
    """Make the cues of a Matroska file an element that no reader knows."""
    return data[:64] + data[64:].replace(b"\x1c\x53\xbb\x6b", b"\x1c\x53\xbb\x60")


def laced(data: bytes) -> bytes:
    """Put three frames of sound after each other into one block of a Matroska file, their sizes in EBML's own way.

    What is left over at the end of a cluster is filled up with an element that readers pass over.
    """
    out, at = bytearray(data), 0
    for cluster in _clusters(data):
        blocks = [(begin, body, end) for begin, body, end in _children(data, *cluster) if data[begin] == 0xA3]
        at = 0
        while at + 3 <= len(blocks):
            trio = blocks[at : at + 3]
            tracks = {data[body] for _, body, _ in trio}
            if tracks != {0x82} or any(a[2] != b[0] for a, b in itertools.pairwise(trio)):
                at += 1
                continue
            frames = [data[body + 4 : end] for _, body, end in trio]
            sizes = [len(frame) for frame in frames]
            difference = sizes[1] - sizes[0] + 8191
            lace = bytes([2]) + _wide(sizes[0]) + (difference | 0x4000).to_bytes(2)
            head = data[trio[0][1] : trio[0][1] + 3] + bytes([data[trio[0][1] + 3] | 0x06])
            block = head + lace + b"".join(frames)
            made = b"\xa3" + (len(block) | 0x10000000).to_bytes(4) + block
            left = trio[2][2] - trio[0][0] - len(made)
            made += b"\xec" + ((left - 2) | 0x80).to_bytes(1) + bytes(left - 2)
            out[trio[0][0] : trio[2][2]] = made
            at += 3
    return bytes(out)


def _wide(number: int) -> bytes:
    return (number | 0x4000).to_bytes(2)


def _clusters(data: bytes) -> Iterator[tuple[int, int]]:
    at = data.index(b"\x1f\x43\xb6\x75")
    while 0 <= at < len(data):
        element = matroska.read_element(data[at : at + 16], at)
        if element.kind != matroska.CLUSTER or element.end is None:
            return
        yield at + element.header, element.end
        at = element.end


def _children(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    while at < end:
        element = matroska.read_element(data[at : at + 16], at)
        assert element.end is not None
        yield at, at + element.header, element.end
        at = element.end


ALL = ("closed", "open", "plain")
MOST = ("closed", "open")
FORMS: dict[str, Form] = {
    "moov at the end": Form("mp4", COPY, ALL),
    "moov in front": Form("mp4", _flags("faststart"), MOST),
    "sound first": Form("mp4", SOUND_FIRST),
    "silent": Form("mp4", SILENT, MOST),
    "MOV, PCM": Form("mov", ("-c:v", "copy", "-c:a", "pcm_s16le")),
    "one sample a chunk": Form("mp4", (*COPY, "-chunk_duration", "1")),
    "negative offsets": Form("mp4", _flags("negative_cts_offsets"), MOST),
    "no edit list": Form("mp4", (*COPY, "-use_editlist", "0")),
    "edit list that skips": Form("mp4", COPY, MOST, before=("-ss", "1.5")),
    "empty edit first": Form("mp4", ("-map", "0:v", "-map", "1:a", *COPY), before=("-itsoffset", "0.7", "-i", "BASE")),
    "empty edit before sound": Form(
        "mp4", ("-map", "1:v", "-map", "0:a", *COPY), before=("-itsoffset", "0.7", "-i", "BASE")
    ),
    "two edits": Form("mp4", COPY, edit=two_edits),
    "start at 10 s": Form("mp4", (*COPY, "-output_ts_offset", "10")),
    "fragments": Form("mp4", _flags("frag_keyframe"), ALL),
    "fragments, empty moov": Form("mp4", _flags("frag_keyframe", "empty_moov"), ALL),
    "fragments, moov later": Form("mp4", _flags("frag_keyframe", "delay_moov"), MOST),
    "fragments, moov later, no edit list": Form(
        "mp4", _flags("frag_keyframe", "delay_moov", more=("-use_editlist", "0"))
    ),
    "fragments, default base": Form("mp4", _flags("frag_keyframe", "empty_moov", "default_base_moof")),
    "fragments, negative offsets": Form("mp4", _flags("frag_keyframe", "empty_moov", "negative_cts_offsets"), MOST),
    "fragments, sound first": Form("mp4", _flags("frag_keyframe", "empty_moov", maps=SOUND_FIRST)),
    "fragments, silent": Form("mp4", _flags("frag_keyframe", "empty_moov", maps=SILENT), MOST),
    "fragments, no empty moov, sound first": Form("mp4", _flags("frag_keyframe", maps=SOUND_FIRST)),
    "fragments, no empty moov, silent": Form("mp4", _flags("frag_keyframe", maps=SILENT)),
    "a moof for each track": Form("mp4", _flags("frag_keyframe", "empty_moov", "separate_moof"), MOST),
    "a moof for each track, sound first": Form(
        "mp4", _flags("frag_keyframe", "empty_moov", "separate_moof", maps=SOUND_FIRST), MOST
    ),
    "a moof for each track, samples in moov": Form("mp4", _flags("frag_keyframe", "separate_moof")),
    "fragments of 0.5 s": Form("mp4", _flags("empty_moov", more=("-frag_duration", "500000")), MOST),
    "fragments of 0.5 s, samples in moov": Form("mp4", (*COPY, "-frag_duration", "500000")),
    "fragments of 0.5 s, and at keyframes": Form(
        "mp4", _flags("frag_keyframe", "empty_moov", more=("-frag_duration", "400000"))
    ),
    "fragments by size": Form("mp4", _flags("empty_moov", more=("-frag_size", "20000"))),
    "fragments of a frame": Form("mp4", _flags("frag_every_frame"), MOST),
    "fragments of a frame, empty moov": Form("mp4", _flags("frag_every_frame", "empty_moov")),
    "CMAF": Form("mp4", _flags("cmaf"), MOST),
    "CMAF, fragments at keyframes": Form("mp4", _flags("cmaf", "frag_keyframe")),
    "DASH": Form("mp4", _flags("dash", "frag_keyframe", "empty_moov")),
    "DASH, one index": Form("mp4", _flags("dash", "frag_keyframe", "empty_moov", "global_sidx"), MOST),
    "DASH, no trailer": Form("mp4", _flags("dash", "frag_keyframe", "empty_moov", "skip_trailer"), MOST),
    "hybrid": Form("mp4", _flags("hybrid_fragmented", "frag_keyframe"), MOST),
    "hybrid, broken off": Form("mp4", _flags("hybrid_fragmented", "frag_keyframe", "skip_trailer")),
    "fragments, no trailer": Form("mp4", _flags("frag_keyframe", "empty_moov", "skip_trailer")),
    "fragments, no trailer, samples in moov": Form("mp4", _flags("frag_keyframe", "skip_trailer")),
    "fragments, start at 10 s": Form("mp4", _flags("frag_keyframe", "empty_moov", more=("-output_ts_offset", "10"))),
    "fragments, moov later, start at 10 s": Form(
        "mp4", _flags("frag_keyframe", "delay_moov", more=("-output_ts_offset", "10"))
    ),
    "Smooth Streaming": Form("ismv", COPY, MOST),
    "MOV in fragments": Form("mov", _flags("frag_keyframe", "empty_moov")),
    "Matroska": Form("mkv", COPY, ALL),
    "Matroska, cues in front": Form("mkv", (*COPY, "-cues_to_front", "1"), MOST),
    "Matroska, sound first": Form("mkv", SOUND_FIRST),
    "Matroska, silent": Form("mkv", SILENT, MOST),
    "Matroska, short clusters": Form("mkv", (*COPY, "-cluster_time_limit", "300"), MOST),
    "Matroska, small clusters": Form("mkv", (*COPY, "-cluster_size_limit", "9000"), MOST),
    "Matroska, live": Form("mkv", (*COPY, "-live", "1"), MOST),
    "Matroska, no cues": Form("mkv", COPY, edit=without_cues),
    "Matroska, start at 10 s": Form("mkv", (*COPY, "-output_ts_offset", "10")),
    "Matroska, laced": Form("mkv", COPY, edit=laced),
    "Matroska, laced, short clusters": Form("mkv", (*COPY, "-cluster_time_limit", "300"), edit=laced),
    "WebM": Form(
        "webm",
        ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "30", "-c:a", "libopus"),
    ),
    "transport stream": Form("ts", COPY, ALL),
    "transport stream, sound first": Form("ts", SOUND_FIRST),
    "transport stream, start at 3600 s": Form("ts", (*COPY, "-output_ts_offset", "3600"), MOST),
    "transport stream, no delay": Form("ts", (*COPY, "-muxdelay", "0", "-muxpreload", "0")),
    "transport stream, silent": Form("ts", SILENT),
    "M2TS": Form("m2ts", COPY, MOST),
    "transport stream, MPEG-2": Form("ts", MPEG2),
    "transport stream, times at keyframes": Form("ts", COPY, ALL, edit=times_at_keyframes),
    "transport stream, first an open group": Form(
        "ts", (*COPY, "-bsf:v", "h264_mp4toannexb,dump_extra=freq=k"), ("open",), edit=from_second_keyframe
    ),
    "transport stream, MPEG-2, first an open group": Form("ts", MPEG2, edit=from_second_keyframe),
    "program stream": Form("vob", MPEG2),
    "AVI": Form("avi", ("-c:v", "copy", "-c:a", "mp3"), ALL),
    "AVI, MPEG-4": Form("avi", MPEG4),
    "Matroska, MPEG-4": Form("mkv", MPEG4),
    "Matroska, MPEG-2": Form("mkv", MPEG2),
    "Matroska, time of day": Form("mkv", (*COPY, "-output_ts_offset", "1700000000"), MOST),
    "FLV": Form("flv", COPY, MOST),
}

CASES = [(name, base) for name, form in FORMS.items() for base in form.bases]


def make_form(folder: Path, bases: dict[str, Path], name: str, base: str, *, ffmpeg: str) -> Path:
    """Make one form of one base; the file's name says nothing of it."""
    form = FORMS[name]
    path = folder / f"{CASES.index((name, base)):03}.{form.suffix}"
    before = [str(bases[base]) if word == "BASE" else word for word in form.before]
    subprocess.run([ffmpeg, "-v", "error", "-y", *before, "-i", str(bases[base]), *form.args, str(path)], check=True)
    path.write_bytes(form.edit(path.read_bytes()))
    return path


@attrs.frozen
class Decoded:
    """What is in a file, counted from its first picture, in seconds.

    Attributes:
        times: When each picture is shown, ascending.
        codes: What each says about itself.
        clicks: When it clicks.
    """

    times: tuple[Fraction, ...]
    codes: tuple[FrameCode | None, ...]
    clicks: tuple[float, ...]

    def at(self, moment: Fraction) -> FrameCode | None:
        """Return what the picture on display at a moment says."""
        return self.codes[max(0, sum(time <= moment for time in self.times) - 1)]


def decode(path: Path, *, ffmpeg: str) -> Decoded:
    """Decode a file from its beginning to its end, and read what is in it."""
    picture = f"settb=1/1000000,metadata=mode=add:key=t:value=1,metadata=mode=print:file=/dev/stderr,{strip_filters()}"
    command = [ffmpeg, "-v", "error", "-copyts", "-i", str(path), "-map", "0:v:0", "-vf", picture]
    done = subprocess.run(
        [*command, "-fps_mode", "passthrough", "-f", "rawvideo", "-"], capture_output=True, check=True
    )
    ticks = [int(found) for found in re.findall(rb"pts:(-?\d+)", done.stderr)]
    codes = decode_strips(strip_levels(done.stdout))
    shown = sorted(zip(ticks, codes, strict=True), key=lambda one: one[0])
    times = tuple(Fraction(tick - shown[0][0], 1_000_000) for tick, _ in shown)
    return Decoded(times, tuple(code for _, code in shown), _clicks(path, shown[0][0], ffmpeg))


def _clicks(path: Path, zero: int, ffmpeg: str) -> tuple[float, ...]:
    first = round(Fraction(zero * RATE, 1_000_000))
    align = f"aresample=async=1:min_comp=0.00001:min_hard_comp=0.002:first_pts={first}"
    command = [ffmpeg, "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0?", "-vn", "-af", align]
    command += ["-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return tuple(find_clicks(np.frombuffer(done.stdout, dtype=np.float32).astype(np.float64), sample_rate=RATE))


def wanted_codes(decoded: Decoded, start: Fraction, frames: int) -> list[FrameCode | None]:
    """Return what each frame of a slot must show, by the contract's rule."""
    return [decoded.at(start + (k + Fraction(1, 2)) / FPS) for k in range(frames)]


def clicks_differ(found: Sequence[float], decoded: Decoded, start: Fraction, frames: int) -> list[float]:
    """Return the clicks of a slot that are not where they must be, or missing; counted from the slot's beginning.

    A click that is cut by the slot's end or beginning may be heard or not.
    """
    end = float(start) + frames / FPS
    near = [click - float(start) for click in decoded.clicks if -CLICK_SECONDS < click - float(start) < frames / FPS]
    sure = [
        click - float(start)
        for click in decoded.clicks
        if click >= float(start) - _SLACK and click + CLICK_SECONDS <= end
    ]
    extra = [click for click in found if not any(abs(click - one) < CLICK_TOLERANCE for one in near)]
    return extra + [one for one in sure if not any(abs(click - one) < CLICK_TOLERANCE for click in found)]


def codes_differ(found: Sequence[FrameCode | None], wanted: Sequence[FrameCode | None]) -> int:
    """Count the frames that are not what they must be."""
    return sum(a != b for a, b in itertools.zip_longest(found, wanted))
