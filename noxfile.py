"""``nox`` runs lint, typing and tests; ``nox -s bench`` the benchmark."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Check style with ruff."""
    session.install("ruff>=0.11")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy, strict."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments go to pytest."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmark; prints ratios from interleaved runs. ``--only local --clips 60`` for a part of it."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/bench.py", *session.posargs)


@nox.session
def network(session: nox.Session) -> None:
    """Run the benchmark over a slow origin; ``--form file`` for files instead of HLS."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/bench_network.py", *session.posargs)


@nox.session
def cache(session: nox.Session) -> None:
    """Run the benchmark of the cache: the first render, the same again, after an edit, by a deadline."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/bench_cache.py", *session.posargs)


@nox.session
def cut(session: nox.Session) -> None:
    """Run the benchmark of ``--cut auto``; ``--smartcut PATH`` for that program beside it."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/bench_cut.py", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill 25 renders at moments by chance, and see that they go on where they stopped."""
    session.install("-e", ".[dev]")
    session.run("pytest", "tests/test_resume.py", *session.posargs, env={"CLIPCUT_KILL_ROUNDS": "25"})


@nox.session
def exact(session: nox.Session) -> None:
    """Render a large case and read every frame and click back."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/check_exact.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Render with faults and changing limits, 10 seeds; ``--memory`` for memory by the number of clips."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/bench/check_chaos.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the tests that make up their own input, with 10,000 examples each."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-m", "fuzz", *session.posargs, env={"HYPOTHESIS_PROFILE": "fuzz"})
