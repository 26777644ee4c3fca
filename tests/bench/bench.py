"""Benchmark: clipcut beside what a user would do instead, the same clips to the same settings, with one FFmpeg.

    nox -s bench -- --json bench.json
    nox -s bench -- --only local many --clips 60 --runs 3
    nox -s bench -- --profile

``--only`` takes names of groups:

local   ``--clips`` local clips (10, 60 and 600) beside two FFmpegs at a time and a concat, one FFmpeg with a concat
        filter, and, at 60 clips, the floor: the same frames and sound encoded two at a time with no seeking at all
others  60 clips beside MoviePy and melt, where they are installed
hls     60 clips over an origin with 80 ms a connection, 80 ms a request and 2 MB/s a connection, beside the same from
        local files, and four plain FFmpegs at a time on the same addresses
cache   60 clips with an empty cache, again with a full one, and after one clip was edited
many    clips of 0.2 s: 60 of them, and ``--many`` (3,000)

The runs of a group are interleaved (A B C A B C ...), so that a machine whose speed drifts hurts all sides alike. What
counts is the ratio of medians; where others use the machine too, that of the CPU says more. The JSON has every run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from bench_cache import edited
from bench_network import SlowOrigin, package_sources
from make_case import make_sources, make_timeline, write_timeline
from peers import half_of, why_not
from watch import watch

from clipcut.ffmpeg.tools import find_ffmpeg

HERE = Path(__file__).parent
GROUPS = ("local", "others", "hls", "cache", "many")
FLOOR_CLIPS = 60
SHORT_S = 0.2
Row = dict[str, Any]


@attrs.frozen
class Side:
    """One way to do the work: its name, and what does it, given the number of the run."""

    name: str
    run: Callable[[int], Row]


@attrs.frozen
class Ratio:
    """A figure to show: the median time of one side over that of the fastest of others; ``limit`` is what is wanted."""

    name: str
    over: str
    under: tuple[str, ...]
    limit: float
    scale: float = 1.0


@attrs.frozen
class Group:
    """Sides that are run in turn, and what is reckoned from their times."""

    name: str
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]


@attrs.frozen
class Case:
    """Where the work is, and with which FFmpeg."""

    folder: Path
    ffmpeg: str

    def clipcut(self, document: Row, cache: Path | None = None) -> Row:
        """Render with clipcut in a process of its own; without a cache folder the cache is empty at first."""
        timeline, output = write_timeline(self.folder / "bench.json", document), self.folder / "clipcut.mp4"
        command = [sys.executable, "-m", "clipcut", "render", str(timeline), "-o", str(output), "--ffmpeg", self.ffmpeg]
        with tempfile.TemporaryDirectory() as empty:
            flags = ["--force", "-q", "--cache-dir", str(cache or empty)]
            if any("://" in source["url"] for source in document["sources"].values()):
                flags += ["--concurrency", "6"]
            seen = watch([*command, *flags])
        if seen.exit_code:
            raise SystemExit(f"clipcut ended with {seen.exit_code}")
        stats = json.loads(output.with_suffix(".report.json").read_text())["clip_stats"]
        return attrs.asdict(seen) | {"bytes_fetched": stats["bytes_fetched"], "cached": stats["cached_tasks"]}

    def peer(self, way: str, document: Row) -> Row:
        """Do the same another way."""
        timeline, output = write_timeline(self.folder / "peer.json", document), self.folder / f"{way}.mp4"
        command = [sys.executable, str(HERE / "peers.py"), way, str(timeline), str(output), "--ffmpeg", self.ffmpeg]
        seen = watch(command)
        if seen.exit_code:
            raise SystemExit(f"{way} ended with {seen.exit_code}")
        return {"wall_s": seen.wall_s, "cpu_s": seen.cpu_s}


def _peers(case: Case, ways: Sequence[str], document: Row) -> Iterator[Side]:
    for way in ways:
        if (why := why_not(way, len(document["clips"]))) is not None:
            print(f"{way} is left out: {why}")
        else:
            yield Side(way, lambda _, way=way: case.peer(way, document))  # type: ignore[misc]


def local_group(case: Case, clips: int) -> Group:
    """Local clips, beside FFmpeg used in two ways, and beside the floor."""
    document = make_timeline(clips=clips, seed=7, milliseconds=False)
    peers = list(_peers(case, ("two_at_a_time", "concat_filter"), document))
    ratios = [Ratio(f"{clips} local clips / faster peer", "clipcut", tuple(peer.name for peer in peers), 0.98)]
    if clips == FLOOR_CLIPS:
        if not all(half_of(case.folder, clips, number).exists() for number in range(2)):
            case.peer("make_floor", document)
        peers += _peers(case, ("floor",), document)
        ratios.append(Ratio(f"{clips} local clips / floor", "clipcut", ("floor",), 1.15))
    sides = (Side("clipcut", lambda _: case.clipcut(document)), *peers)
    return Group(f"local-{clips}", sides, tuple(ratios))


def others_group(case: Case) -> Group:
    """MoviePy and melt."""
    document = make_timeline(clips=FLOOR_CLIPS, seed=7, milliseconds=False)
    peers = list(_peers(case, ("moviepy", "melt"), document))
    ratios = tuple(Ratio(f"{FLOOR_CLIPS} local clips / {peer.name}", "clipcut", (peer.name,), 0.98) for peer in peers)
    return Group("others", (Side("clipcut", lambda _: case.clipcut(document)), *peers), ratios)


def over_origin(case: Case, document: Row, run: Callable[[Row], Row]) -> Row:
    """Run something over a fresh slow origin, and note what that saw."""
    origin = SlowOrigin(case.folder / "www", delay=0.08, rate=2_000_000)
    sources = {name: {"url": f"{origin.url}/{name}/index.m3u8"} for name in document["sources"]}
    try:
        row = run(document | {"sources": sources})
    finally:
        seen = origin.stop()
    return row | {name: seen[name] for name in ("requests", "connections", "bytes_sent")}


def hls_group(case: Case) -> Group:
    """The slow origin, beside local files and four plain FFmpegs."""
    package_sources(case.folder, case.ffmpeg)
    document = make_timeline(clips=FLOOR_CLIPS, seed=7, milliseconds=False)
    sides = (
        Side("clipcut over HLS", lambda _: over_origin(case, document, case.clipcut)),
        Side("clipcut, local", lambda _: case.clipcut(document)),
        Side("four FFmpegs over HLS", lambda _: over_origin(case, document, partial(case.peer, "four_at_a_time"))),
    )
    ratios = (
        Ratio("HLS / local", "clipcut over HLS", ("clipcut, local",), 1.10),
        Ratio("HLS / four FFmpegs over HLS", "clipcut over HLS", ("four FFmpegs over HLS",), 0.75),
    )
    return Group("hls", sides, ratios)


def cache_group(case: Case) -> Group:
    """An empty cache, a full one, and one clip that was edited; each run has a cache of its own."""
    document = make_timeline(clips=FLOOR_CLIPS, seed=7, milliseconds=False)
    folder = case.folder / "caches"
    shutil.rmtree(folder, ignore_errors=True)

    def render(what: Row, number: int) -> Row:
        return case.clipcut(what, folder / str(number))

    sides = (
        Side("cold", partial(render, document)),
        Side("warm", partial(render, document)),
        Side("edited", partial(render, edited(document))),
    )
    return Group(
        "cache", sides, (Ratio("warm / cold", "warm", ("cold",), 1), Ratio("edited / cold", "edited", ("cold",), 1))
    )


def many_group(case: Case, many: int) -> Group:
    """Many short clips, and few of them: the time of one must not depend on how many there are."""
    few, lots = (
        make_timeline(clips=clips, seed=7, shortest=SHORT_S, longest=SHORT_S, milliseconds=False)
        for clips in (FLOOR_CLIPS, many)
    )
    sides = (
        Side(f"{FLOOR_CLIPS} short", lambda _: case.clipcut(few)),
        Side(f"{many} short", lambda _: case.clipcut(lots)),
    )
    ratio = Ratio("time a short clip, many / few", sides[1].name, (sides[0].name,), 1.2, FLOOR_CLIPS / many)
    return Group("many", sides, (ratio,))


def groups(case: Case, only: Sequence[str], clips: Sequence[int], many: int) -> Iterator[Group]:
    """Yield what is to be measured, in order."""
    if "local" in only:
        yield from (local_group(case, number) for number in clips)
    if "others" in only:
        yield others_group(case)
    if "hls" in only:
        yield hls_group(case)
    if "cache" in only:
        yield cache_group(case)
    if "many" in only:
        yield many_group(case, many)


def _tell(name: str, row: Row) -> None:
    words = [f"{row['wall_s']:7.2f} s", f"{row['cpu_s']:7.2f} s CPU"]
    if row.get("own_cpu_s") is not None:
        words.append(f"own {row['own_cpu_s']:.2f} s = {100 * row['own_cpu_s'] / row['cpu_s']:.1f} %")
    if row.get("peak_memory_mb") is not None:
        words.append(f"{row['peak_memory_mb']:.0f} MB, {row['peak_open_files']} files")
    if row.get("bytes_sent"):
        words.append(f"{row['requests']} requests, {row['bytes_sent'] / 1e6:.1f} MB")
    print(f"  {name:22} {', '.join(words)}", flush=True)


def _median(rows: Sequence[Row], field: str) -> float:
    return float(statistics.median(row[field] for row in rows))


def measure(group: Group, runs: int) -> Row:
    """Run all sides in turn, again and again, and reckon."""
    print(f"{group.name}:", flush=True)
    rows: dict[str, list[Row]] = {side.name: [] for side in group.sides}
    for number in range(runs):
        for side in group.sides:
            rows[side.name].append(side.run(number))
            _tell(side.name, rows[side.name][-1])
    medians = {name: _median(found, "wall_s") for name, found in rows.items()}
    ratios = {}
    for ratio in group.ratios:
        found = medians[ratio.over] / min(medians[name] for name in ratio.under) * ratio.scale
        fastest = min(ratio.under, key=lambda name: medians[name])
        cpu = _median(rows[ratio.over], "cpu_s") / _median(rows[fastest], "cpu_s") * ratio.scale
        ratios[ratio.name] = {"ratio": round(found, 3), "limit": ratio.limit, "cpu_ratio": round(cpu, 3)}
        print(f"  {ratio.name}: {found:.3f} (at most {ratio.limit}); of CPU {cpu:.3f}", flush=True)
    return {"runs": rows, "median_wall_s": medians, "ratios": ratios}


def profile(case: Case) -> None:
    """Show where clipcut's own CPU goes, and its imports' time."""
    timeline = write_timeline(case.folder / "bench.json", make_timeline(clips=FLOOR_CLIPS, seed=7, milliseconds=False))
    with tempfile.TemporaryDirectory() as cache:
        flags = ["-o", str(case.folder / "clipcut.mp4"), "--ffmpeg", case.ffmpeg, "--force", "-q", "--cache-dir", cache]
        subprocess.run([sys.executable, str(HERE / "profile_own.py"), "render", str(timeline), *flags], check=True)
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import clipcut.cli"], check=True, capture_output=True, text=True
    ).stderr
    rows = [line.removeprefix("import time:").split("|") for line in said.splitlines()[1:]]
    print("imports of clipcut.cli, the dearest with what they import, in ms:")
    for _, whole, name in sorted(rows, key=lambda row: -int(row[1]))[:25]:
        print(f"  {int(whole) / 1000:7.1f}  {name.strip()}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="NAME")
    parser.add_argument("--runs", type=int, default=3, help="runs of each side")
    parser.add_argument("--clips", type=int, nargs="+", default=[10, 60, 600])
    parser.add_argument("--many", type=int, default=3000, help="how many short clips are many")
    parser.add_argument("--ffmpeg", default=None, help="the FFmpeg of all sides; default: the packaged one")
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    parser.add_argument("--json", type=Path, default=None, help="write the figures there")
    parser.add_argument("--profile", action="store_true", help="only show where clipcut's own time goes")
    return parser.parse_args()


def main() -> None:
    """Make the case if need be, measure, print and write the figures."""
    arguments = _arguments()
    case = Case(arguments.case, find_ffmpeg(arguments.ffmpeg, "flag")[0])
    make_sources(case.folder, case.ffmpeg)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {case.ffmpeg}")
    if arguments.profile:
        profile(case)
        return
    found: Row = {"cores": os.cpu_count(), "ffmpeg": case.ffmpeg, "load_at_start": os.getloadavg(), "groups": {}}
    for group in groups(case, arguments.only, arguments.clips, arguments.many):
        found["groups"][group.name] = measure(group, arguments.runs)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
