"""Real programs that clipcut works with: started on a free port of loopback, asked when they answer, ended for sure."""

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

NODE_EXPORTER = "prometheus-node-exporter"
REDIS = "redis-server"


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is not installed; CI has all of them, and ``test_docs`` sees to it."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def poll(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, for a bounded time."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def program(*argv: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block is left."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            poll(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None
            yield process
        finally:
            process.kill()


def scrape(folder: Path) -> str:
    """Return what a real node_exporter makes of the textfiles in a folder."""
    port = free_port()
    argv = (
        NODE_EXPORTER,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with (
        program(*argv, port=port),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer,
    ):
        return str(answer.read().decode())


@contextlib.contextmanager
def redis_server(folder: Path, port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a real Redis that keeps nothing."""
    argv = (REDIS, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *options)
    with program(*argv, port=port) as process:
        yield process
