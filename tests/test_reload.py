"""Limits that change while a render runs: what a file, a SIGHUP or a message means, and that bad ones mean nothing."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from real import REDIS, free_port, needs, redis_server

from clipcut import reload_file, reload_redis
from clipcut.errors import SettingsError
from clipcut.reload import HOT, REFUSED, Change, changed_settings, file_change, message_change
from clipcut.reload_file import FileWatch
from clipcut.reload_redis import UNAVAILABLE, redis_watch
from clipcut.settings import Origin, Settings, resolve_settings


def settings(folder: Path, text: str | None = None, **flags: Any) -> Settings:
    """Resolve settings from flags and, where there is a text, the file ``clipcut.toml``."""
    path = folder / "clipcut.toml"
    if text is not None:
        path.write_text(text)
    return resolve_settings(flags, {}, path if text is not None else None, folder, (path, folder / "user.toml"))


@attrs.define
class Taken:
    """Who takes changes and warnings as a render does, and remembers them."""

    start: Settings
    now: Settings
    seen: list[dict[str, Any]] = attrs.field(factory=list)
    warnings: list[tuple[str, str]] = attrs.field(factory=list)
    _told: trio.Event = attrs.field(factory=trio.Event)

    def _tell(self) -> None:
        self._told.set()
        self._told = trio.Event()

    def apply(self, change: Change) -> None:
        """Take a change."""
        self.now, names = changed_settings(self.now, self.start, change)
        self.seen.append({name: getattr(self.now, name) for name in names})
        self._tell()

    def warn(self, event: str, message: str) -> None:
        """Take a warning."""
        self.warnings.append((event, message))
        self._tell()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, for a bounded time."""
        with trio.fail_after(30):
            while not is_so():
                await self._told.wait()


def taken(start: Settings) -> Taken:
    """Begin with these settings."""
    return Taken(start, start)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A placeholder clip that can be read."""
    (tmp_path / "black.mp4").touch()
    return tmp_path / "black.mp4"


def test_a_message_changes_what_it_names(tmp_path: Path, file: Path) -> None:
    """Each setting that can change, in the form of the settings file; paths start from the current folder."""
    start = settings(tmp_path)
    message = {
        "max_parallelism": 6,
        "per_video_limit": 3,
        "max_retry": 0,
        "rate_limit": 2.5,
        "placeholder_asset_path": "black.mp4",
    }

    change = message_change(json.dumps(message).encode(), start, tmp_path)
    now, names = changed_settings(start, start, change)

    assert HOT == names
    assert (6, 3, 0, Fraction(5, 2), str(file)) == tuple(getattr(now, name) for name in HOT)
    assert {Origin.RELOAD_REDIS} == {now.origins[name] for name in HOT}
    assert "reload:redis" == now.described()["rate_limit"]["origin"]


def test_null_brings_a_setting_back_to_its_start_value(tmp_path: Path) -> None:
    """With the origin that it had then."""
    start = settings(tmp_path, max_parallelism="8")
    higher, _ = changed_settings(start, start, message_change(b'{"max_parallelism": 20}', start, tmp_path))
    back, names = changed_settings(higher, start, message_change(b'{"max_parallelism": null}', start, tmp_path))

    assert (20, 8, ("max_parallelism",)) == (higher.max_parallelism, back.max_parallelism, names)
    assert Origin.FLAG == back.origins["max_parallelism"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        pytest.param("lots", "not JSON", id="no-json"),
        pytest.param("[6]", "no JSON object", id="list"),
        pytest.param('{"max_parallelism": "lots"}', "wrong type", id="type"),
        pytest.param('{"max_parallelism": 0}', "from 1 to 256", id="range"),
        pytest.param('{"max_parallelism": true}', "wrong type", id="boolean"),
        pytest.param('{"rate_limit": NaN}', "can't be used", id="nan"),
        pytest.param('{"max_paralelism": 6}', 'did you mean "max_parallelism"?', id="unknown"),
        pytest.param('{"on_missing": "fail"}', "can't change while a render runs", id="not-hot"),
        pytest.param('{"placeholder_asset_path": "gone.mp4"}', "doesn't exist", id="no-file"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param('{"max_parallelism": ' + "9" * 5000 + "}", "not JSON", id="digits"),
    ],
)
def test_a_bad_message_is_refused_whole(tmp_path: Path, message: str, words: str) -> None:
    """Also where other keys of it are fine."""
    if message.startswith("{"):
        message = message.replace("{", '{"max_retry": 9, ', 1)

    with pytest.raises(SettingsError) as caught:
        message_change(message.encode(), settings(tmp_path), tmp_path)
    assert words in str(caught.value)


KEYS = st.fixed_dictionaries(
    {},
    optional={"max_parallelism": st.integers(1, 9), "max_retry": st.integers(0, 9), "job": st.sampled_from("ab")},
)


@given(at_start=KEYS, edits=st.lists(KEYS, max_size=5), flag=st.none() | st.integers(1, 9))
def test_only_what_was_touched_in_the_file_changes_and_what_is_removed_goes_back(
    at_start: Mapping[str, Any], edits: list[Mapping[str, Any]], flag: int | None
) -> None:
    """Held against a model: the last touch of a key wins over all, and its removal brings the start value back."""
    known = resolve_settings({"max_parallelism": flag}, {}, None, Path())
    start = attrs.evolve(
        known,
        max_parallelism=flag or at_start.get("max_parallelism", 4),
        max_retry=at_start.get("max_retry", 3),
        in_file=at_start,
    )
    now, before, wanted = start, at_start, {name: getattr(start, name) for name in ("max_parallelism", "max_retry")}
    for keys in edits:
        change, others = file_change(before, keys, keys, start)
        now, _ = changed_settings(now, start, change)
        for name in wanted:
            if before.get(name) != keys.get(name):
                wanted[name] = keys.get(name, getattr(start, name))
        assert wanted == {name: getattr(now, name) for name in wanted}
        assert (["job"] if before.get("job") != keys.get("job") else []) == others
        before = keys


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    """Where watches run until the test ends."""
    async with trio.open_nursery() as one:
        yield one
        one.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than usual."""
    monkeypatch.setattr(reload_file, "EVERY_S", 0.01)
    monkeypatch.setattr(reload_redis, "GLANCE_S", 0.05)
    monkeypatch.setattr(reload_redis, "FIRST_WAIT_S", 0.05)


async def test_a_file_that_changes_is_read_and_a_bad_one_is_a_warning(tmp_path: Path, nursery: trio.Nursery) -> None:
    """It wins over a flag; what is wrong with one key keeps all of them from changing."""
    who = taken(settings(tmp_path, "max_parallelism = 2\n", max_parallelism="1"))
    nursery.start_soon(FileWatch(who.start, who.apply, who.warn).run)
    path = tmp_path / "clipcut.toml"

    path.write_text("max_parallelism = 3\n")
    await who.until(lambda: {"max_parallelism": 3} in who.seen)
    assert (1, Origin.RELOAD_FILE) == (who.start.max_parallelism, who.now.origins["max_parallelism"])

    path.write_text('max_parallelism = "lots"\nmax_retry = 9\n')
    await who.until(lambda: len(who.warnings) == 1)
    assert REFUSED == who.warnings[0][0]
    assert "nothing was changed" in who.warnings[0][1]
    assert "'lots' has the wrong type" in who.warnings[0][1]
    assert (3, 3) == (who.now.max_parallelism, who.now.max_retry)

    path.write_text("max_parallelism = \n")
    await who.until(lambda: len(who.warnings) == 2)

    path.write_text("max_retry = 9\n")
    await who.until(lambda: who.now.max_retry == 9)
    assert (1, Origin.FLAG) == (who.now.max_parallelism, who.now.origins["max_parallelism"])
    assert 2 == len(who.warnings)


async def test_a_file_that_appears_later_counts_and_one_that_goes_gives_back(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """Also one that is more important than the one before: the first that is there is the one."""
    who = taken(settings(tmp_path))
    watch = FileWatch(who.start, who.apply, who.warn)
    assert not watch.hung_up()
    nursery.start_soon(watch.run)

    (tmp_path / "user.toml").write_text("max_parallelism = 7\nmax_retry = 5\n")
    await who.until(lambda: (7, 5) == (who.now.max_parallelism, who.now.max_retry))
    assert watch.hung_up()

    (tmp_path / "clipcut.toml").write_text("max_parallelism = 8\n")
    await who.until(lambda: (8, 3) == (who.now.max_parallelism, who.now.max_retry))

    (tmp_path / "clipcut.toml").unlink()
    await who.until(lambda: (7, 5) == (who.now.max_parallelism, who.now.max_retry))

    (tmp_path / "user.toml").unlink()
    await who.until(lambda: (4, 3) == (who.now.max_parallelism, who.now.max_retry))
    assert Origin.DEFAULT == who.now.origins["max_parallelism"]
    assert [] == who.warnings


async def test_what_changed_between_start_and_watch_is_seen(tmp_path: Path, nursery: trio.Nursery) -> None:
    """The first look is held against what the settings were made of."""
    who = taken(settings(tmp_path, "max_parallelism = 2\n"))
    (tmp_path / "clipcut.toml").write_text("max_parallelism = 9\n")

    nursery.start_soon(FileWatch(who.start, who.apply, who.warn).run)

    await who.until(lambda: who.now.max_parallelism == 9)


async def test_a_setting_that_can_not_change_now_is_a_warning_and_the_others_count(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """``on_missing`` is for the next render."""
    who = taken(settings(tmp_path, ""))
    nursery.start_soon(FileWatch(who.start, who.apply, who.warn).run)

    (tmp_path / "clipcut.toml").write_text('max_parallelism = 9\non_missing = "fail"\n')

    await who.until(lambda: bool(who.warnings))
    assert 9 == who.now.max_parallelism
    assert ["render.config_for_the_next_render"] == [event for event, _ in who.warnings]
    assert who.warnings[0][1].startswith("on_missing in ")


async def test_a_hangup_reads_the_file_at_once(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the next look."""
    monkeypatch.setattr(reload_file, "EVERY_S", 10**6)
    who = taken(settings(tmp_path, ""))
    watch = FileWatch(who.start, who.apply, who.warn)
    nursery.start_soon(watch.run)
    await trio.testing.wait_all_tasks_blocked()

    (tmp_path / "clipcut.toml").write_text("max_parallelism = 9\n")
    assert watch.hung_up()

    await who.until(lambda: who.now.max_parallelism == 9)


@needs(REDIS)
async def test_a_real_redis_changes_limits_and_may_come_and_go(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Bad messages are warnings; a lost server is one warning, and when it is back it counts again."""
    who, port = taken(settings(tmp_path)), free_port()
    environ = {"RENDER_REDIS_URL": f"redis://:secret@127.0.0.1:{port}/0", "RENDER_CONFIG_CHANNEL": "mine"}
    watch = redis_watch(environ, tmp_path, who.start, who.apply, who.warn)
    assert watch is not None
    assert "secret" not in repr(watch)
    nursery.start_soon(watch.run)
    await who.until(lambda: len(who.warnings) == 1)
    assert UNAVAILABLE == who.warnings[0][0]
    assert "secret" not in who.warnings[0][1]

    for places in (5, 6):
        with redis_server(tmp_path, port, "--requirepass", "secret") as server:
            await authorised(port, json.dumps({"max_parallelism": places}))
            await who.until(lambda wanted=places: who.now.max_parallelism == wanted)  # type: ignore[misc]
            await authorised(port, '{"max_parallelism": "lots"}')
            await who.until(lambda wanted=places: len(who.warnings) == wanted - 3)  # type: ignore[misc]
            server.kill()

    assert [UNAVAILABLE, REFUSED, REFUSED] == [event for event, _ in who.warnings]
    assert 6 == who.now.max_parallelism


async def authorised(port: int, message: str) -> None:
    """Send a message over a server with a password, once somebody listens."""
    redis = pytest.importorskip("redis")
    with trio.fail_after(30), redis.Redis(port=port, password="secret") as client:  # noqa: S106
        while not client.publish("mine", message):  # noqa: ASYNC110  another program's doing
            await trio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("htp://secret", "redis://HOST:PORT/0", id="scheme"),
        pytest.param("redis://:sec/ret@host:1", "redis://HOST:PORT/0", id="port"),
    ],
)
async def test_an_address_that_is_none_is_a_warning(tmp_path: Path, url: str, words: str) -> None:
    """The render goes on without, and nothing of the address is shown."""
    who = taken(settings(tmp_path))
    watch = redis_watch({"RENDER_REDIS_URL": url}, tmp_path, who.start, who.apply, who.warn)
    assert watch is not None
    with trio.fail_after(10):
        await watch.run()

    assert [UNAVAILABLE] == [event for event, _ in who.warnings]
    assert words in who.warnings[0][1]
    assert "sec" not in who.warnings[0][1]


@pytest.mark.parametrize("address", ["127.0.0.1:1/0?foo=bar", "a..b:1/0"], ids=["option", "host"])
async def test_an_address_that_redis_chokes_on_is_a_warning(
    tmp_path: Path, nursery: trio.Nursery, address: str
) -> None:
    """It says so only when it connects, in ways of its own."""
    who = taken(settings(tmp_path))
    environ = {"RENDER_REDIS_URL": f"redis://:secret@{address}"}
    watch = redis_watch(environ, tmp_path, who.start, who.apply, who.warn)
    assert watch is not None
    nursery.start_soon(watch.run)
    await who.until(lambda: bool(who.warnings))

    assert [UNAVAILABLE] == [event for event, _ in who.warnings]
    assert "secret" not in who.warnings[0][1]


async def test_without_the_extra_there_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    who = taken(settings(tmp_path))
    watch = redis_watch({"RENDER_REDIS_URL": "redis://127.0.0.1"}, tmp_path, who.start, who.apply, who.warn)
    assert watch is not None
    await watch.run()

    assert [(UNAVAILABLE, "redis-py isn't installed; pip install 'clipcut[redis]'")] == who.warnings


def test_without_an_address_nobody_listens(tmp_path: Path) -> None:
    """An empty variable counts as unset."""
    who = taken(settings(tmp_path))

    assert redis_watch({"RENDER_REDIS_URL": ""}, tmp_path, who.start, who.apply, who.warn) is None


async def test_a_server_that_says_nothing_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A port that takes connections and never answers: cancelled, the watch is gone at once."""
    who = taken(settings(tmp_path))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    watch = redis_watch({"RENDER_REDIS_URL": f"redis://127.0.0.1:{port}"}, tmp_path, who.start, who.apply, who.warn)
    assert watch is not None
    with trio.fail_after(2):
        async with trio.open_nursery() as both:
            both.start_soon(watch.run)
            async with await listeners[0].accept() as stream:
                await stream.receive_some(1)
                both.cancel_scope.cancel()
    for listener in listeners:
        await listener.aclose()
