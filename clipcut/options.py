"""Every setting: its names, what its text means, what a settings file may hold for it.

``OPTIONS`` is the whole list; flags, variables, file keys, ``.env.example`` and the report all follow it.
"""

import enum
import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from clipcut.errors import Guesses, Mistake


class OnMissing(enum.StrEnum):
    """What a clip that can't be had does to the render."""

    PLACEHOLDER = "placeholder"
    FAIL = "fail"


@attrs.frozen
class PlaceholderLimit:
    """How many placeholders are still acceptable: ``"3"`` of them, or ``"5%"`` of all clips."""

    text: str

    def exceeded_by(self, placeholders: int, total: int) -> bool:
        """Tell whether there are strictly more of them than allowed."""
        if self.text.endswith("%"):
            return placeholders * 100 > Fraction(self.text[:-1]) * total
        return placeholders > int(self.text)


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(low: Fraction, meaning: str) -> Callable[[str], Fraction]:
    def parse(text: str) -> Fraction:
        if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text, re.ASCII) or Fraction(text) < low:
            raise ValueError(f"write {meaning}, in seconds")
        return Fraction(text)

    return parse


_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*?)B?", text, re.ASCII)
    if match is None or match[2] not in _UNITS:
        raise ValueError("write a number of bytes; 500M and 20G are understood too")
    return int(match[1]) * _UNITS[match[2]]


def _choice(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(f"write {' or '.join(values)}")
        return text

    return parse


def _limit(text: str) -> PlaceholderLimit:
    if not re.fullmatch(r"[0-9]{1,9}|[0-9]{1,3}(\.[0-9]{1,6})?%", text, re.ASCII) or (
        text.endswith("%") and Fraction(text[:-1]) > 100
    ):
        raise ValueError("write a number of clips (3) or a share of them (5%), at most 100%")
    return PlaceholderLimit(text)


def _rate(text: str) -> Fraction:
    if (
        not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", text, re.ASCII)
        or not Fraction(1, 1000) <= Fraction(text) <= 10000
    ):
        raise ValueError("write how many requests a second one host may get, from 0.001 to 10000")
    return Fraction(text)


def _prom_path(text: str) -> str:
    if not text.isprintable() or not Path(text).name.endswith(".prom"):
        raise ValueError("write a path that ends in .prom, as node_exporter reads no other")
    return text


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("write a text without control characters")
    return text


@attrs.frozen(kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: The field of ``Settings``, the key in the settings file and in the report's ``config``.
        flag: The command line's name for it, for messages.
        env: The environment variable; None if there is none.
        parse: Turns its text into the value, or raises ``ValueError`` with what to write.
        default: The value when no layer has one.
        kind: What a TOML file may hold for it.
        is_path: Relative paths are meant: to the current folder, in the file to the file's folder.
        in_file: Whether the settings file may hold it.
        is_hot: Whether it can change while a render runs.
    """

    name: str
    flag: str
    env: str | None
    parse: Callable[[str], Any]
    default: Any = None
    kind: type | tuple[type, ...] = str
    is_path: bool = False
    in_file: bool = True
    is_hot: bool = False


OPTIONS = (
    Option(
        name="max_parallelism",
        flag="--concurrency",
        env="RENDER_CLIP_CONCURRENCY",
        parse=_integer(1, 256),
        default=4,
        kind=int,
        is_hot=True,
    ),
    Option(
        name="per_video_limit",
        flag="--per-video",
        env="RENDER_CLIP_PER_VIDEO_LIMIT",
        parse=_integer(1, 256),
        default=2,
        kind=int,
        is_hot=True,
    ),
    Option(
        name="max_retry",
        flag="--max-retry",
        env="RENDER_CLIP_MAX_RETRY",
        parse=_integer(0, 100),
        default=3,
        kind=int,
        is_hot=True,
    ),
    Option(name="rate_limit", flag="--rate", env="RENDER_RATE_LIMIT", parse=_rate, kind=(int, float), is_hot=True),
    Option(
        name="on_missing",
        flag="--on-missing",
        env="RENDER_ON_MISSING",
        parse=_choice(*OnMissing),
        default=OnMissing.PLACEHOLDER.value,
    ),
    Option(
        name="max_placeholders",
        flag="--max-placeholders",
        env="RENDER_MAX_PLACEHOLDERS",
        parse=_limit,
        default=PlaceholderLimit("100%"),
        kind=(str, int),
    ),
    Option(
        name="deadline",
        flag="--deadline",
        env="RENDER_DEADLINE",
        parse=_seconds(Fraction(1, 10), "after how long clips become placeholders, at least 0.1"),
        kind=(int, float),
    ),
    Option(
        name="placeholder_asset_path",
        flag="--placeholder",
        env="PLACEHOLDER_CLIP_PATH",
        parse=_text,
        is_path=True,
        is_hot=True,
    ),
    Option(name="cut", flag="--cut", env="RENDER_CUT", parse=_choice("auto", "encode"), default="encode"),
    Option(name="report", flag="--report", env="RENDER_REPORT", parse=_text, is_path=True),
    Option(name="prom_textfile", flag="--prom-textfile", env="RENDER_PROM_TEXTFILE", parse=_prom_path, is_path=True),
    Option(name="job", flag="--job", env="RENDER_JOB", parse=_text),
    Option(name="work_dir", flag="--work-dir", env="RENDER_WORK_DIR", parse=_text, is_path=True),
    Option(name="cache_dir", flag="--cache-dir", env="RENDER_CACHE_DIR", parse=_text, is_path=True),
    Option(
        name="cache_size",
        flag="--cache-size",
        env="RENDER_CACHE_SIZE",
        parse=_bytes,
        default=10 * 10**9,
        kind=(int, str),
    ),
    Option(name="ffmpeg", flag="--ffmpeg", env="CLIPCUT_FFMPEG", parse=_text, is_path=True),
    Option(
        name="wait_lock",
        flag="--wait-lock",
        env="RENDER_WAIT_LOCK",
        parse=_seconds(Fraction(0), "how long to wait for another render of the same output"),
        default=Fraction(0),
        kind=(int, float),
    ),
    Option(name="log_format", flag="--log-format", env="RENDER_LOG_FORMAT", parse=_choice("console", "json")),
)

FILE_OPTIONS = {option.name: option for option in OPTIONS if option.in_file}


def plain(value: Any) -> object:
    """Return a value as JSON and TOML have it."""
    if isinstance(value, PlaceholderLimit):
        return value.text
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    return value


def stands_for_file(option: Option, value: Any) -> bool:
    """Tell whether a value is a path, and not a word in a path's place: ``-`` for stdout, a name to look up."""
    is_word = (value == "-" and option.name == "report") or (option.name == "ffmpeg" and "/" not in value)
    return option.is_path and not is_word


def value_of(option: Option, text: str, base: Path) -> Any:
    try:
        value = option.parse(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} can't be used; {exc}") from exc
    return str(base / value) if stands_for_file(option, value) else value


def written_value(option: Option, raw: object, base: Path) -> Any:
    """Return the value of what stands in a settings file, or in a message of the same form.

    Args:
        option: Which setting.
        raw: What TOML or JSON made of it.
        base: The folder that relative paths start from.

    Raises:
        ValueError: It can't be used; says why, and what to write.
    """
    if isinstance(raw, bool) or not isinstance(raw, option.kind):
        raise ValueError(f"{raw!r} has the wrong type; {_expected(option)}")  # noqa: TRY004  callers collect these
    # a TOML number may have more digits than Python writes out
    return value_of(option, str(max(-1, min(raw, 10**12)) if isinstance(raw, int) else raw), base)


def _expected(option: Option) -> str:
    kinds = option.kind if isinstance(option.kind, tuple) else (option.kind,)
    return "write a text in quotes" if str in kinds else "write a number without quotes"


def unknown_keys(keys: Iterable[str], where: str) -> list[Mistake]:
    """Return a mistake for each key that no settings file may hold."""
    unknown, guesses = [key for key in keys if key not in FILE_OPTIONS], Guesses()
    return [Mistake(f"{where}: {key}", f"unknown key{guesses.nearest(key, FILE_OPTIONS)}") for key in unknown]
