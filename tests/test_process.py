"""Children are real and tiny here: their environment, their ends, and that none is left behind."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from clipcut.ffmpeg.process import LINE_LIMIT, STDERR_LINES, child_environment, open_feed, run

DEAF = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(__import__("os").getpid(), flush=True)
while True: time.sleep(0.1)
"""


def python(code: str) -> list[str]:
    """Return the command of a tiny Python child."""
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not, though it still answers a signal 0."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def open_files() -> set[tuple[str, str]]:
    """Return this process' descriptors, each with what it is open to."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found.add((link.name, str(link.readlink())))
    return found


def wait_until_gone(pid: int, seconds: float) -> bool:
    """Wait for a process' end, for at most ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


async def test_output_arrives_by_line_and_the_exit_status_is_kept() -> None:
    """Lines of stdout go to the sink, the last of stderr stay, the status passes the guard."""
    lines: list[bytes] = []
    code = "import sys; print('one'); print('two', end=''); print('no', file=sys.stderr); sys.exit(7)"

    done = await run(python(code), on_stdout=lines.append)

    assert ([b"one", b"two"], ("no",), 7) == (lines, done.stderr, done.returncode)


@contextlib.asynccontextmanager
async def told(place: trio.CapacityLimiter, asked: trio.Event) -> AsyncIterator[None]:
    """A place that tells when somebody waits for it."""
    asked.set()
    async with place:
        yield


async def test_nothing_begins_before_its_place_is_there(tmp_path: Path) -> None:
    """The guard is ready by then; the place is held until the child has ended, and is free again."""
    place, asked, begun = trio.CapacityLimiter(1), trio.Event(), tmp_path / "begun"
    said: list[object] = []

    async def work() -> None:
        child = python(f"open({str(begun)!r}, 'w'); print('at work')")
        said.append((await run(child, on_stdout=said.append, place=told(place, asked))).returncode)

    async with trio.open_nursery() as nursery:
        await place.acquire()
        nursery.start_soon(work)
        await asked.wait()
        assert not begun.exists()
        place.release()

    assert ([b"at work", 0], 1, True) == (said, place.available_tokens, begun.exists())


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds nothing")
async def test_a_child_is_bound_to_the_core_of_its_place() -> None:
    """And whatever it starts; a place that names none binds nothing."""
    usable, said = os.sched_getaffinity(0), list[bytes]()
    for core in (max(usable), None):
        place = contextlib.nullcontext(core)
        await run(python("import os; print(sorted(os.sched_getaffinity(0)))"), on_stdout=said.append, place=place)

    assert [f"{[max(usable)]}".encode(), f"{sorted(usable)}".encode()] == said


async def test_a_guard_that_waits_for_a_place_is_ended_with_its_task() -> None:
    """Nothing began, and nothing is left."""
    place, asked, before = trio.CapacityLimiter(1), trio.Event(), open_files()
    async with place, trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, python("raise SystemExit"), place=told(place, asked)))
        await asked.wait()
        nursery.cancel_scope.cancel()

    assert (1, set()) == (place.available_tokens, open_files() - before)


async def test_a_child_killed_by_a_signal_is_no_success() -> None:
    """The guard passes a signal on as 128 and its number."""
    done = await run(python("import os; os.kill(os.getpid(), 11)"))

    assert 139 == done.returncode


async def test_a_child_that_crashes_leaves_no_core() -> None:
    """Whatever the limit of whoever runs clipcut is."""
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limit[1], limit[1]))
    lines: list[bytes] = []
    try:
        code = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"
        await run(python(code), on_stdout=lines.append)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limit)

    assert [b"(0, 0)"] == lines


async def test_stderr_is_bounded() -> None:
    """A child that never stops complaining keeps its last lines only, and long ones are cut."""
    done = await run(python("import sys\nfor n in range(5000): print(n, 'x' * 9000, file=sys.stderr)"))

    assert STDERR_LINES == len(done.stderr)
    assert done.stderr[-1].startswith("4999 ")
    assert all(len(line) <= LINE_LIMIT for line in done.stderr)


async def test_standard_input_is_empty() -> None:
    """A child can't eat the input of whoever runs clipcut in a loop."""
    lines: list[bytes] = []
    await run(python("import sys; print(repr(sys.stdin.read()))"), on_stdout=lines.append)

    assert [b"''"] == lines


async def test_the_environment_is_a_fixed_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret and nothing that changes FFmpeg's behaviour reaches a child."""
    monkeypatch.setenv("CDN_TOKEN", "geheim")
    monkeypatch.setenv("FFREPORT", "file=leak.log")
    lines: list[bytes] = []
    await run(python("import os; print(*sorted(os.environ))"), on_stdout=lines.append)

    names = lines[0].decode().split()
    assert "CDN_TOKEN" not in names
    assert "FFREPORT" not in names
    assert "C" == child_environment({})["LC_ALL"]


async def test_a_child_that_ignores_the_request_is_killed() -> None:
    """Cancellation asks, waits a little, and kills; then nothing is left."""
    pids: list[int] = []
    began = trio.current_time()
    with trio.CancelScope() as scope:

        def note(line: bytes) -> None:
            pids.append(int(line))
            scope.cancel()

        await run(python(DEAF), on_stdout=note)

    assert scope.cancelled_caught
    assert trio.current_time() - began < 5
    assert wait_until_gone(pids[0], 1)


@pytest.mark.parametrize("deaf", [False, True], ids=["that-obeys", "that-ignores-the-request"])
def test_no_child_outlives_a_killed_clipcut(deaf: bool) -> None:
    """After ``kill -9`` of the parent, the guard ends the child within 2 s."""
    child = DEAF if deaf else DEAF.replace("SIG_IGN", "SIG_DFL")
    parent_code = (
        "import sys, trio\n"
        "from clipcut.ffmpeg.process import run\n"
        f"trio.run(lambda: run({python(child)!r}, on_stdout=lambda line: print(line.decode(), flush=True)))\n"
    )
    with subprocess.Popen(python(parent_code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()

        assert wait_until_gone(pid, 2)


def test_not_even_a_grandchild_outlives_a_killed_clipcut() -> None:
    """A wrapper script around FFmpeg and what it started go too."""
    wrapper = f"import subprocess, sys; subprocess.run({python(DEAF)!r})"
    parent_code = (
        "import sys, trio\n"
        "from clipcut.ffmpeg.process import run\n"
        f"trio.run(lambda: run({python(wrapper)!r}, on_stdout=lambda line: print(line.decode(), flush=True)))\n"
    )
    with subprocess.Popen(python(parent_code), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()

        assert wait_until_gone(pid, 2)


async def test_a_child_obeys_a_request_though_its_guard_does_not() -> None:
    """The guard ignores signals; what it starts does not inherit that."""
    lines: list[bytes] = []
    code = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"
    await run(python(code), on_stdout=lines.append)

    assert [b"True"] == lines


async def test_a_child_that_says_nothing_for_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung FFmpeg does not hang the render."""
    monkeypatch.setattr("clipcut.ffmpeg.process.STALL_S", 0.3)

    done = await run(python("import time; time.sleep(60)"))

    assert None is done.returncode


async def test_a_missing_program_says_so() -> None:
    """The guard tells of a program that isn't there by 127."""
    done = await run(["/nowhere/ffmpeg", "-version"])

    assert 127 == done.returncode


async def test_a_feed_takes_bytes_and_ends_with_its_input() -> None:
    """The child sees everything that was sent, then the end."""
    async with open_feed(python("import sys; sys.exit(len(sys.stdin.buffer.read()) % 251)")) as feed:
        for _ in range(10):
            assert await feed.send(bytes(100_000))
        done = await feed.finish()

    assert 1_000_000 % 251 == done.returncode


async def test_a_feed_tells_when_its_child_stopped_reading() -> None:
    """A broken pipe is an answer, no exception."""
    async with open_feed(python("import sys; print('enough', file=sys.stderr); sys.exit(3)")) as feed:
        while await feed.send(bytes(100_000)):
            pass
        done = await feed.finish()

    assert (3, ("enough",)) == (done.returncode, done.stderr)


async def test_a_feed_is_ended_when_it_is_cancelled() -> None:
    """Leaving the block in a hurry leaves no child."""
    with trio.CancelScope() as scope:
        async with open_feed(python("import time; time.sleep(60)")) as feed:
            pid = feed._process.pid
            scope.cancel()
            await trio.sleep_forever()

    assert not is_running(pid)


def test_open_files_stay_the_same() -> None:
    """A hundred children later no descriptor is open that was not before; one that another test left may have gone."""

    async def many() -> set[tuple[str, str]]:
        before = open_files()
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(run, ["/bin/true"])
        return open_files() - before

    assert set() == trio.run(many)
