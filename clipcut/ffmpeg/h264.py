"""H.264 as far as a copy needs it, pure: parameter sets, and how a slice begins.

Names are those of the standard (ITU-T H.264, 7.3 and annex E), without their type letters. Whatever bytes are given,
``ValueError`` is all that is raised: they come from files that somebody else made.
"""

import attrs

from clipcut.ffmpeg.nal import Bits, unescape, unit_of

_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128)
"""Profiles whose SPS states chroma format and bit depth."""


@attrs.frozen(kw_only=True)
class Sps:
    """A sequence parameter set.

    Attributes:
        id: Its number, 0 to 31.
        profile, level: As stated.
        chroma, depth: ``chroma_format_idc``; the larger of the two bit depths.
        is_progressive: Whether each picture is a frame (``frame_mbs_only_flag``).
        width, height: In pixels, cropped.
        frame_num_bits, poc_type, poc_bits: What is needed to read a slice header.
        has_delta_zero: ``delta_pic_order_always_zero_flag``.
        has_planes: ``separate_colour_plane_flag``.
        aspect: The shape of a pixel, width and height; (0, 0) where it isn't stated.
        full_range: Whether luma uses all of 0 to 255.
        colours: Primaries, transfer curve, matrix; 2 for what isn't stated.
        siting: Where colour samples lie, as ``chroma_sample_loc_type_top_field``; 0, left, where it isn't stated.
        reorder: How many pictures may come before one that is shown before them; None where it isn't stated.
        vui: Where in the payload the flag of the VUI is, in bits.
        overscan: The bits that say whether the picture reaches beyond the screen.
        after_colour, end: Where the VUI goes on after the colours, and where it ends; None where there is none.
    """

    id: int
    profile: int
    level: int
    chroma: int
    depth: int
    is_progressive: bool
    width: int
    height: int
    frame_num_bits: int
    poc_type: int
    poc_bits: int
    has_delta_zero: bool
    has_planes: bool
    vui: int
    aspect: tuple[int, int] = (0, 0)
    full_range: bool = False
    colours: tuple[int, int, int] = (2, 2, 2)
    siting: int = 0
    reorder: int | None = None
    overscan: str = "0"
    after_colour: int | None = None
    end: int | None = None


def _skip_scaling(bits: Bits, chroma: int) -> None:
    for number in range(8 if chroma != 3 else 12):
        if not bits.u(1):
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _read_chroma(bits: Bits, profile: int) -> tuple[int, int, bool]:
    """Return chroma format, bit depth, and whether the planes are apart."""
    if profile not in _HIGH:
        return 1, 8, False
    chroma = bits.ue()
    has_planes = bool(bits.u(1)) if chroma == 3 else False
    depth = 8 + max(bits.ue(), bits.ue())
    bits.u(1)
    if bits.u(1):
        _skip_scaling(bits, chroma)
    return chroma, depth, has_planes


def _read_order(bits: Bits) -> tuple[int, int, bool]:
    """Return how the order of pictures is told: its type, the bits of its number, whether a difference is always 0."""
    poc_type = bits.ue()
    if poc_type == 0:
        return 0, bits.ue() + 4, False
    if poc_type == 1:
        is_zero = bool(bits.u(1))
        bits.se(), bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
        return 1, 0, is_zero
    return poc_type, 0, False


def _read_size(bits: Bits, chroma: int) -> tuple[int, int, bool]:
    """Return width and height, cropped, and whether each picture is a frame."""
    across, down, is_progressive = bits.ue() + 1, bits.ue() + 1, bool(bits.u(1))
    if not is_progressive:
        bits.u(1)
    bits.u(1)
    fields = 1 if is_progressive else 2
    width, height = across * 16, down * 16 * fields
    if bits.u(1):
        x, y = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1) * fields
        width -= x * (bits.ue() + bits.ue())
        height -= y * (bits.ue() + bits.ue())
    return width, height, is_progressive


def _skip_hrd(bits: Bits) -> None:
    count = bits.ue() + 1
    bits.u(8)
    for _ in range(min(count, 32)):
        bits.ue(), bits.ue(), bits.u(1)
    bits.u(20)


def _skip_times(bits: Bits) -> None:
    """Skip the clock, the buffers, and whether pictures state how long they are shown."""
    if bits.u(1):
        bits.u(65)
    has_hrd = False
    for _ in range(2):
        if bits.u(1):
            has_hrd = True
            _skip_hrd(bits)
    bits.u(2 if has_hrd else 1)


def _read_vui(bits: Bits) -> dict[str, object]:
    found: dict[str, object] = {}
    if bits.u(1):
        shape = bits.u(8)
        found["aspect"] = (bits.u(16), bits.u(16)) if shape == 255 else (1, 1) if shape == 1 else (0, shape)
    here = bits.at
    if bits.u(1):
        bits.u(1)
    found["overscan"] = bits.between(here, bits.at)
    if bits.u(1):
        bits.u(3)
        found["full_range"] = bool(bits.u(1))
        if bits.u(1):
            found["colours"] = (bits.u(8), bits.u(8), bits.u(8))
    found["after_colour"] = bits.at
    if bits.u(1):
        found["siting"] = bits.ue()
        bits.ue()
    _skip_times(bits)
    if bits.u(1):
        bits.u(1)
        for _ in range(4):
            bits.ue()
        found["reorder"] = bits.ue()
        bits.ue()
    found["end"] = bits.at
    return found


def read_sps(unit: bytes) -> Sps:
    """Read a sequence parameter set.

    Raises:
        ValueError: It can't be read.
    """
    bits = Bits(unescape(unit[1:]))
    profile, _, level = bits.u(8), bits.u(8), bits.u(8)
    number = bits.ue()
    chroma, depth, has_planes = _read_chroma(bits, profile)
    frame_num_bits = bits.ue() + 4
    poc_type, poc_bits, is_zero = _read_order(bits)
    bits.ue(), bits.u(1)
    width, height, is_progressive = _read_size(bits, chroma)
    at = bits.at
    more: dict[str, object] = _read_vui(bits) if bits.u(1) else {}
    return Sps(
        id=number,
        profile=profile,
        level=level,
        chroma=chroma,
        depth=depth,
        is_progressive=is_progressive,
        width=width,
        height=height,
        frame_num_bits=frame_num_bits,
        poc_type=poc_type,
        poc_bits=poc_bits,
        has_delta_zero=is_zero,
        has_planes=has_planes,
        vui=at,
        **more,  # type: ignore[arg-type]
    )


def tagged(unit: bytes, sps: Sps) -> bytes:
    """Return a sequence parameter set that says square pixels and BT.709 in limited range, and all else as before."""
    bits = Bits(unescape(unit[1:]))
    begin, overscan = bits.between(0, sps.vui), sps.overscan
    colours = "1" + "101" + "0" + "1" + 3 * format(1, "08b")
    rest = bits.between(sps.after_colour, sps.end) if sps.after_colour is not None and sps.end is not None else "000000"
    return unit_of(begin + "1" + "1" + format(1, "08b") + overscan + colours + rest, unit[0])


@attrs.frozen(kw_only=True)
class Pps:
    """A picture parameter set.

    Attributes:
        id: Its number, 0 to 255.
        sps: The number of its sequence parameter set.
        has_bottom, has_redundant: What is needed to read a slice header.
    """

    id: int
    sps: int
    has_bottom: bool
    has_redundant: bool


def read_pps(unit: bytes) -> Pps:
    """Read a picture parameter set.

    Raises:
        ValueError: It can't be read, or is of a form (slice groups) that hardly any player knows.
    """
    bits = Bits(unescape(unit[1:]))
    number, sps, _, has_bottom = bits.ue(), bits.ue(), bits.u(1), bool(bits.u(1))
    if bits.ue():
        raise ValueError("pictures are divided into slice groups")
    bits.ue(), bits.ue()
    bits.u(3)
    bits.se(), bits.se(), bits.se()
    bits.u(2)
    return Pps(id=number, sps=sps, has_bottom=has_bottom, has_redundant=bool(bits.u(1)))


def drops_what_is_waiting(unit: bytes, sps: Sps, pps: Pps) -> bool:
    """Tell whether an IDR slice asks that pictures which wait to be shown are dropped (``no_output_of_prior_pics``)."""
    bits = Bits(unescape(unit[1:64]))
    bits.ue(), bits.ue(), bits.ue()
    if sps.has_planes:
        bits.u(2)
    bits.u(sps.frame_num_bits)
    bits.ue()
    if sps.poc_type == 0:
        bits.u(sps.poc_bits)
        if pps.has_bottom:
            bits.se()
    elif sps.poc_type == 1 and not sps.has_delta_zero:
        bits.se()
        if pps.has_bottom:
            bits.se()
    if pps.has_redundant:
        bits.ue()
    return bool(bits.u(1))


def slice_pps(unit: bytes) -> int:
    """Return the number of the picture parameter set that a slice needs."""
    bits = Bits(unescape(unit[1:32]))
    bits.ue(), bits.ue()
    return bits.ue()
