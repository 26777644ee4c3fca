"""Draw network and encoders over time, from a real render over the slow origin.

    python tests/bench/draw_busy.py --svg docs/busy.svg

Ten times a second it is looked at how many encoder places are taken and how many bytes have come. The origin is that of
``bench.py``: HLS, 80 ms a connection and a request, 2 MB/s a connection.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio
from bench_network import SlowOrigin, package_sources
from make_case import make_sources, make_timeline, write_timeline

from clipcut.events import Listeners
from clipcut.ffmpeg.tools import find_ffmpeg
from clipcut.jsonio import load_timeline
from clipcut.limits import usable_cores
from clipcut.pipeline import open_render
from clipcut.plan import build_plan
from clipcut.preflight import Job, prepare
from clipcut.settings import resolve_settings

GLANCE_S = 0.1
WIDTH, ROW, LEFT, GAP, TOP = 720, 110, 52, 46, 40
GREEN, BLUE, GREY = "#2e8b57", "#3b6ea8", "#888"


@attrs.frozen
class Glance:
    """A moment of a render: seconds since its start, encoder places taken, bytes that have come."""

    at: float
    encoders: int
    fetched: int


def make_job(timeline: Path, ffmpeg: str, cache: Path) -> Job:
    """Get a render ready."""
    flags = {"ffmpeg": ffmpeg, "max_parallelism": 6, "cache_dir": str(cache)}
    settings = resolve_settings(flags, {}, None, timeline.parent)
    document = load_timeline(timeline.read_bytes())
    plan = build_plan(document, timeline.parent)
    output = timeline.with_name("busy.mp4")
    return prepare(document, plan, settings, output=output, name=str(timeline), path=timeline, force=True)


async def record(job: Job) -> list[Glance]:
    """Render, and look on."""
    steps = open_render(job, Listeners([]))
    began = trio.current_time()
    glances: list[Glance] = []

    async def look() -> None:
        while True:
            at = trio.current_time() - began
            glances.append(Glance(at, steps.limits.encoders.borrowed_tokens, steps.fetched.size))
            await trio.sleep(GLANCE_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await steps.attempt()
        nursery.cancel_scope.cancel()
    if steps.failure is not None:
        raise steps.failure
    return glances


def _area(points: Sequence[tuple[float, float]], most: float, end: float, top: float, colour: str) -> str:
    """Draw a stepped area of values over time, 0 at the bottom."""

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * at / end

    def y(value: float) -> float:
        return top + ROW * (1 - value / most)

    path = [f"M{x(0):.1f},{y(0):.1f}"]
    for (at, value), later in zip(points, [*(at for at, _ in points[1:]), end], strict=True):
        path.append(f"L{x(at):.1f},{y(value):.1f}L{x(later):.1f},{y(value):.1f}")
    path.append(f"L{x(end):.1f},{y(0):.1f}Z")
    return f'<path d="{"".join(path)}" fill="{colour}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def _row(title: str, points: Sequence[tuple[float, float]], most: float, end: float, number: int, colour: str) -> str:
    top = TOP + number * (ROW + GAP)
    line = f'<line x1="{LEFT}" y1="{top + ROW}" x2="{WIDTH - 10}" y2="{top + ROW}" stroke="{GREY}"/>'
    marks = _text(LEFT - 6, top + 10, f"{most:g}", "end") + _text(LEFT - 6, top + ROW, "0", "end")
    return _text(LEFT, top - 8, title) + _area(points, most, end, top, colour) + line + marks


def _rates(glances: Sequence[Glance], seconds: float = 0.5) -> list[tuple[float, float]]:
    """Return MB a second, over half a second each."""
    step = max(1, round(seconds / GLANCE_S))
    some = glances[::step]
    return [
        (before.at, (after.fetched - before.fetched) / 1e6 / (after.at - before.at))
        for before, after in itertools.pairwise(some)
    ]


def draw(glances: Sequence[Glance], cores: int) -> str:
    """Draw what was seen as an SVG."""
    end, rates = glances[-1].at, _rates(glances)
    most = max(rate for _, rate in rates)
    busy = sum(min(glance.encoders, cores) for glance in glances) / len(glances) / cores
    fetching = sum(rate > 0 for _, rate in rates) / len(rates)
    rows = [
        _row(
            f"encoders at work, of {cores}: {busy:.0%} of the time",
            [(glance.at, glance.encoders) for glance in glances],
            cores,
            end,
            0,
            GREEN,
        ),
        _row(f"network, MB/s: something came {fetching:.0%} of the time", rates, round(most, 1), end, 1, BLUE),
    ]
    bottom = TOP + 2 * ROW + GAP
    step = max(1, round(end / 8))
    ticks = [
        _text(LEFT + (WIDTH - LEFT - 10) * at / end, bottom + 18, f"{at} s", "middle")
        for at in range(0, int(end) + 1, step)
    ]
    style = f'font-family="sans-serif" font-size="12" fill="{GREY}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30}" role="img" {style}>'
    title = "<title>Encoders at work and bytes that come, over the time of a render</title>"
    return "\n".join([head, title, *rows, *ticks, "</svg>"]) + "\n"


def main() -> None:
    """Render over the slow origin and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--case", type=Path, default=Path(tempfile.gettempdir()) / "clipcut-bench")
    found = parser.parse_args()
    ffmpeg = find_ffmpeg(None, "flag")[0]
    make_sources(found.case, ffmpeg)
    package_sources(found.case, ffmpeg)
    document = make_timeline(clips=found.clips, seed=7, milliseconds=False)
    origin = SlowOrigin(found.case / "www", delay=0.08, rate=2_000_000)
    sources = {name: {"url": f"{origin.url}/{name}/index.m3u8"} for name in document["sources"]}
    timeline = write_timeline(found.case / "busy.json", document | {"sources": sources})
    try:
        with tempfile.TemporaryDirectory() as cache:
            glances = trio.run(record, make_job(timeline, ffmpeg, Path(cache)))
    finally:
        origin.stop()
    found.svg.write_text(draw(glances, usable_cores()))


if __name__ == "__main__":
    main()
