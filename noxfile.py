"""``nox`` runs lint, typing and the everyday tests, ``nox -s everything`` all tests; ``nox -l`` lists the rest."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "typing", "tests"]

WORKERS = ("-n", "auto", "--maxprocesses", "4")
EVERYDAY = (*WORKERS, "-m", "not slow")
NAME = re.compile(r"python3\.\d+")
ASK = "import platform, sys; print(platform.python_implementation(), *sys.version_info[1:4], sys.executable, sep='\\n')"


def find_pythons() -> dict[str, str]:
    """Return the CPythons from 3.11 on that are here, the oldest first, as ``3.N`` and the path of the newest 3.N.

    They are looked for on the PATH, and where pyenv and uv keep theirs: pyenv has a script of each name on the PATH,
    most of which only say that another version was chosen.
    """
    kept = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv"), "versions"), Path("~/.local/share/uv/python")]
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += [path / "bin" for root in kept for path in root.expanduser().glob("*")]
    paths = {path.resolve() for folder in folders for path in folder.glob("python3.*") if NAME.fullmatch(path.name)}
    found: dict[int, tuple[int, str]] = {}
    for path in sorted(paths):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            said = subprocess.run([path, "-c", ASK], check=True, capture_output=True, text=True).stdout.splitlines()
            minor, micro = int(said[1]), int(said[2])
            if (said[0], said[3]) == ("CPython", "final") and minor >= 11:
                found[minor] = max(found.get(minor, (-1, "")), (micro, said[4]))
    return {f"3.{minor}": found[minor][1] for minor in sorted(found)}


PYTHONS = find_pythons()


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


def run_everyday(session: nox.Session) -> None:
    """Run the everyday tests; arguments go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *EVERYDAY, *session.posargs, env={"HYPOTHESIS_PROFILE": "everyday"})


nox.session(name="tests")(run_everyday)
for version, path in PYTHONS.items():
    nox.session(name=f"tests-{version}", python=path)(run_everyday)


@nox.session(python=False)
def pythons(session: nox.Session) -> None:
    """Run the everyday tests on each CPython from 3.11 on that is here."""
    for version, path in PYTHONS.items():
        session.log(f"CPython {version}: {path}")
        session.notify(f"tests-{version}")
    if os.environ.get("CLIPCUT_TESTS_NEED_EVERYTHING") and PYTHONS.keys() <= {"3.11"}:
        session.error("no CPython newer than 3.11 is here, and CLIPCUT_TESTS_NEED_EVERYTHING asks for one")


@nox.session(python=next(iter(PYTHONS.values()), None))
def oldest(session: nox.Session) -> None:
    """Run the everyday tests on the oldest Python that is here, with the oldest packages that pyproject.toml allows."""
    project = nox.project.load_toml()["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    session.install(*(re.sub(r">=([^,]+).*", r"==\1", requirement) for requirement in wanted), "-e", ".")
    session.run("pytest", *EVERYDAY, *session.posargs, env={"HYPOTHESIS_PROFILE": "everyday"})


@nox.session
def everything(session: nox.Session) -> None:
    """Run all tests: with both FFmpegs, where the PATH has one, and with the other programs that are here."""
    session.install("-e", ".[test]")
    session.run("pytest", *WORKERS, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmark; prints ratios from interleaved runs. ``--only local --clips 60`` for a part of it."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/bench.py", *session.posargs)


@nox.session
def network(session: nox.Session) -> None:
    """Run the benchmark over a slow origin; ``--form file`` for files instead of HLS."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/bench_network.py", *session.posargs)


@nox.session
def cache(session: nox.Session) -> None:
    """Run the benchmark of the cache: the first render, the same again, after an edit, by a deadline."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/bench_cache.py", *session.posargs)


@nox.session
def cut(session: nox.Session) -> None:
    """Run the benchmark of ``--cut auto``; ``--smartcut PATH`` for that program beside it."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/bench_cut.py", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill 25 renders at moments by chance, and see that they go on where they stopped."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/test_resume.py", *session.posargs, env={"CLIPCUT_KILL_ROUNDS": "25"})


@nox.session
def exact(session: nox.Session) -> None:
    """Render a large case and read every frame and click back."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/check_exact.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Render with faults and changing limits, 10 seeds; ``--memory`` for memory by the number of clips."""
    session.install("-e", ".[test]")
    session.run("python", "tests/bench/check_chaos.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the tests that make up their own input, with 10,000 examples each."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "fuzz", *session.posargs, env={"HYPOTHESIS_PROFILE": "fuzz"})
