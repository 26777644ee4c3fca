"""Chaos by a seed: one request of five goes wrong and limits change, while the result must be right all the same.

Everything runs in this process, so that threads, open files and children can be counted before and after. Waits are
short: what a server may take its time for is in ``PATIENCE``.
"""

import contextlib
import functools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import trio
from golden import Numbered, Rendered, render, slots, timeline, wanted_frames
from media import make_source, read_frames
from origin import Origin, Reply, Seen, redirect, retry_after_seconds
from packaged import package, serving

from clipcut.network.ask import Patience
from clipcut.network.fetch import Fetcher
from clipcut.sources import remote

FPS = 10
SECONDS = 30
SHARE = 5
"""One request of so many goes wrong."""
PATIENCE = Patience(
    connect_s=2, silence_s=1, total_s=6, window_s=2, least_rate=1024, pause_s=1.5, backoff_s=0.05, backoff_most_s=0.4
)

HLS_TS, HLS_FMP4, MP4, MP4_LATE_INDEX, FILE = "hls-ts", "hls-fmp4", "mp4", "mp4-late-index", "file"
FORMS = [(HLS_TS, False), (HLS_FMP4, False), (MP4, False), (HLS_TS, True), (HLS_FMP4, True), (MP4, True)]
FORMS += [(FILE, False), (MP4_LATE_INDEX, True), (HLS_TS, False), (HLS_FMP4, True)]
"""The sources: what each is, and whether there is a local copy."""


@attrs.frozen
class Fault:
    """A way for an answer to go wrong; ``make`` gets the body as it should be, and a source of chance."""

    name: str
    make: Callable[[bytes, random.Random], Reply]


def _damaged(body: bytes, chance: random.Random) -> Reply:
    """Answer with bytes of which some are others: a hole of zeros, or noise."""
    size = max(1, len(body) // chance.choice([1, 2, 8]))
    at = chance.randint(0, max(0, len(body) - size))
    hole = bytes(size) if chance.random() < 0.5 else chance.randbytes(size)
    return Reply(body=body[:at] + hole + body[at + size :])


def _cut(body: bytes, chance: random.Random) -> Reply:
    return Reply(cut_at=chance.randint(0, max(0, len(body) - 1)), reset=chance.random() < 0.5)


FAULTS = [
    Fault("404", lambda _, __: Reply(status=404)),
    Fault("429", lambda _, chance: Reply(status=429, headers=retry_after_seconds(chance.choice([0, 1, 1, 90])))),
    Fault("503", lambda _, __: Reply(status=503)),
    Fault("truncated", _cut),
    Fault("wrong bytes", _damaged),
    Fault("reset", lambda _, __: Reply(reset=True)),
    Fault(
        "redirect",
        lambda _, chance: redirect(chance.choice(["http://127.0.0.1:1/x", "http://nowhere.invalid/x", "ftp://x/", ""])),
    ),
    Fault("drip", lambda body, chance: Reply(drip=(max(1, len(body) // 8), chance.choice([0.02, 0.05])))),
    Fault("slow", lambda _, chance: Reply(delay=chance.uniform(0.1, 0.5))),
    Fault("no range", lambda _, __: Reply(ignore_range=True)),
    Fault("wrong length", lambda body, chance: Reply(declared=max(0, len(body) + chance.choice([-7, 7])))),
    Fault("hang", lambda _, __: Reply(hang=True)),
]
RARE = {"hang"}
"""Faults that take their time: one of four of these is a ``slow`` instead."""


@attrs.define
class Chaos:
    """Answers requests; what goes wrong follows from the seed and the request, not from the order of requests."""

    seed: int
    folder: Path
    done: Counter[str] = attrs.field(factory=Counter)
    _asked: Counter[tuple[str, str | None]] = attrs.field(factory=Counter)

    def answer(self, seen: Seen) -> Reply:
        """Answer one request."""
        key = (seen.path, seen.range)
        self._asked[key] += 1
        chance = random.Random(f"{self.seed} {key} {self._asked[key]}")
        if chance.randrange(SHARE):
            return Reply()
        fault = chance.choice(FAULTS)
        if fault.name in RARE and chance.randrange(4):
            fault = next(other for other in FAULTS if other.name == "slow")
        self.done[fault.name] += 1
        return fault.make((self.folder / seen.path.lstrip("/")).read_bytes(), chance)

    def script(self, origin: Origin) -> None:
        """Have every file of the folder answered so."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                origin.script(f"/{path.relative_to(self.folder)}", self.answer)


def make_media(folder: Path, ffmpeg: str, count: int = len(FORMS)) -> None:
    """Make the first ``count`` sources: ``www`` is what an origin has, ``local`` what is here."""
    (folder / "local").mkdir(parents=True, exist_ok=True)
    for number, (form, _) in enumerate(FORMS[:count]):
        source, www = folder / "local" / f"v{number}.mp4", folder / "www" / f"v{number}"
        late = form == MP4_LATE_INDEX
        if not source.exists():
            make_source(
                source,
                ffmpeg=ffmpeg,
                source_id=number,
                seconds=SECONDS,
                fps=Fraction(FPS),
                width=160,
                height=90,
                gop=FPS,
                extra_args=() if late else ("-movflags", "+faststart"),
                pattern=False,
            )
        www.mkdir(parents=True, exist_ok=True)
        if form == HLS_TS:
            package(source, www, ffmpeg=ffmpeg, seconds=1)
        elif form == HLS_FMP4:
            args = ("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", "init.mp4")
            package(source, www, ffmpeg=ffmpeg, seconds=1, args=args, suffix="m4s")
        elif form != FILE:
            (www / "v.mp4").write_bytes(source.read_bytes())


def make_document(folder: Path, url: str, seed: int, clips: int, count: int = len(FORMS)) -> dict[str, Any]:
    """Make a timeline of short clips over the sources."""
    chance = random.Random(f"timeline {seed}")
    sources: dict[str, Any] = {}
    for number, (form, has_copy) in enumerate(FORMS[:count]):
        local = str(folder / "local" / f"v{number}.mp4")
        name = "index.m3u8" if form in {HLS_TS, HLS_FMP4} else "v.mp4"
        remote_source = {"url": f"{url}/v{number}/{name}"} | ({"local": local} if has_copy else {})
        sources[f"v{number}"] = {"url": local} if form == FILE else remote_source
    entries = []
    for _ in range(clips):
        frames = chance.randint(2, 8)
        first = chance.randint(0, SECONDS * FPS - frames)
        entries.append(
            {"video_id": f"v{chance.randrange(count)}", "start": first / FPS, "end": round((first + frames) / FPS, 3)}
        )
    return timeline(entries, sources, width=160, height=90, fps=FPS)


@attrs.frozen
class Things:
    """What a process has at one moment: threads by name, open files by what they are, children."""

    threads: tuple[str, ...]
    files: tuple[str, ...]
    children: tuple[str, ...]

    @classmethod
    def now(cls) -> "Things":
        """Count them."""
        files = []
        for link in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):  # the listing's own
                files.append(str(link.readlink()).partition(":[")[0])
        children = [
            child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
        ]
        return cls(tuple(sorted(one.name for one in threading.enumerate())), tuple(sorted(files)), tuple(children))

    def more(self, before: "Things") -> list[str]:
        """Name what is there now and wasn't before."""
        found: list[str] = []
        for name in ("threads", "files", "children"):
            new = Counter(getattr(self, name)) - Counter(getattr(before, name))
            if name != "children" and len(getattr(self, name)) <= len(getattr(before, name)):
                continue
            found += [f"{name}: {what} ({count} more)" for what, count in new.items()]
        return found


def left_behind(before: Things, seconds: float = 5) -> list[str]:
    """Name what is there and wasn't before; threads that Trio keeps for a moment get so long to go."""
    end = time.monotonic() + seconds
    while (found := Things.now().more(before)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def changing(config: Path, seed: int) -> Iterator[list[str]]:
    """Write other limits into the settings file again and again, each other time with a SIGHUP; some are nonsense."""
    chance, over, written = random.Random(f"limits {seed}"), threading.Event(), list[str]()
    before = signal.signal(signal.SIGHUP, lambda *_: None)  # one that comes before or after the render must not end us

    def change() -> None:
        while not over.wait(chance.uniform(0.2, 1.2)):
            keys = {
                "max_parallelism": chance.randint(1, 8),
                "per_video_limit": chance.randint(1, 4),
                "max_retry": chance.randint(1, 4),
                "rate_limit": chance.choice([60, 200]),
            }
            if chance.random() < 0.15:
                keys["max_parallelism"] = 0
            text = "".join(f"{key} = {value}\n" for key, value in keys.items())
            config.write_text(text)
            written.append(text)
            if chance.random() < 0.5:
                os.kill(os.getpid(), signal.SIGHUP)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield written
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGHUP, before)


@contextlib.contextmanager
def short_waits(seed: int) -> Iterator[None]:
    """Let no wait be long: of the network, and of Trio's for threads that nobody needs any more."""
    random.seed(seed)  # the waits before retries
    with (
        mock.patch.object(remote, "Fetcher", functools.partial(Fetcher, patience=PATIENCE)),
        mock.patch.object(trio._core._thread_cache, "IDLE_TIMEOUT", 0.2),
    ):
        yield


@attrs.define
class Outcome:
    """What came of one seed; ``mistakes`` is empty where all was right."""

    rendered: Rendered
    faults: Counter[str]
    changes: int
    seconds: float
    mistakes: list[str]


def run_seed(folder: Path, seed: int, *, clips: int, ffmpeg: str, count: int = len(FORMS)) -> Outcome:
    """Render with chaos, and look at everything that it left; ``folder`` has the media."""
    place = folder / f"seed-{seed}"
    work = place / "work"
    work.mkdir(parents=True)
    config, chaos = place / "clipcut.toml", Chaos(seed, folder / "www")
    config.write_text("max_parallelism = 4\n")
    flags = ["--config", str(config), "--work-dir", str(work), "--log-format", "json", "-q"]
    flags += ["--cache-dir", str(place / "cache")] if seed % 2 else ["--no-cache"]
    before, began = Things.now(), time.monotonic()
    with short_waits(seed), serving(folder / "www") as origin:
        chaos.script(origin)
        document = make_document(folder, origin.url, seed, clips, count)
        with changing(config, seed) as written:
            rendered = render(place, document, *flags, ffmpeg=ffmpeg)
    seconds = time.monotonic() - began
    mistakes = [f"left behind: {what}" for what in left_behind(before)]
    mistakes += [f"left in the work folder: {path}" for path in work.rglob("*")]
    mistakes += [f"left beside the output: {path}" for path in place.iterdir() if ".part" in path.name]
    mistakes += wrong_in_report(rendered, clips) + wrong_frames(rendered, document, ffmpeg)
    return Outcome(rendered, chaos.done, len(written), seconds, mistakes)


def wrong_in_report(rendered: Rendered, clips: int) -> list[str]:
    """Name what doesn't fit together in a report; that it is a valid one was seen when it was read."""
    stats, report = rendered.report["clip_stats"], rendered.report
    found = []
    if rendered.exit_code != report["exit_code"] or report["exit_code"] != (3 if stats["placeholder_tasks"] else 0):
        found.append(f"exit {rendered.exit_code}, in the report {report['exit_code']}: {report['error']}")
    if report["status"] != ("degraded" if stats["placeholder_tasks"] else "complete"):
        found.append(f"status {report['status']}")
    if (stats["total_tasks"], stats["failed_tasks"] + stats["cancelled_tasks"]) != (clips, 0):
        found.append(f"counts: {stats}")
    if report["output"] is not None and report["output"]["bytes"] != rendered.output.stat().st_size:
        found.append("the output has other bytes than reported")
    return found


def wrong_frames(rendered: Rendered, document: dict[str, Any], ffmpeg: str) -> list[str]:
    """Name the clips whose pictures aren't the right ones; a placeholder shows none that is numbered."""
    if not rendered.output.exists():
        return ["there is no output"]
    clips = [
        clip | ({"video_id": "none"} if told["status"] == "fallback-placeholder" else {})
        for clip, told in zip(document["clips"], rendered.report["clips"], strict=True)
    ]
    media = {f"v{number}": Numbered(number, Fraction(FPS), SECONDS * FPS) for number in range(len(FORMS))}
    wanted, found = wanted_frames(document | {"clips": clips}, media), read_frames(rendered.output, ffmpeg=ffmpeg)
    mistakes = [f"{len(found)} frames instead of {len(wanted)}"] if len(found) != len(wanted) else []
    if rendered.report["output"] is None or rendered.report["output"]["frames"] != len(found):
        mistakes.append(f"{len(found)} frames, other than reported")
    for told, (first, frames) in zip(rendered.report["clips"], slots(document), strict=True):
        here = slice(first, first + frames)
        if wanted[here] != found[here]:
            mistakes.append(
                f"clip {told['id']} ({told['video_id']}, {told['status']}): {found[here]}, not {wanted[here]}"
            )
    return mistakes
