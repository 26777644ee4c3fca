"""The store: whole entries or none, damage is a miss, bounded, and several processes at once do no harm."""

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from clipcut.cache import store as module
from clipcut.cache.place import cache_info, clear_cache, open_store
from clipcut.cache.store import Store

KEY, OTHER = "a" * 64, "b" * 64
FACTS = {"frames": 3}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with room for 10,000 bytes, and two files to put there."""
    (tmp_path / "0.mov").write_bytes(b"picture")
    (tmp_path / "0.pcm").write_bytes(b"sound")
    async with open_store(tmp_path / "cache", 10_000) as one:
        yield one


def files(folder: Path) -> dict[str, Path]:
    """Return the two files by name."""
    return {name: folder / name for name in ("0.mov", "0.pcm")}


def into(folder: Path) -> Callable[[str], Path]:
    """Return what tells where files of an entry go."""
    folder.mkdir(exist_ok=True)
    return lambda name: folder / name


def entry(folder: Path, key: str = KEY) -> Path:
    """Return where an entry lies."""
    return folder / "cache" / "clips" / key[:2] / key


async def test_what_was_put_is_found_again(tmp_path: Path, store: Store) -> None:
    """Its files and facts; also by another store of the same folder, and after the first files are gone."""
    store.put("clips", KEY, files(tmp_path), FACTS)
    for path in files(tmp_path).values():
        path.unlink()

    async with open_store(tmp_path / "cache", 10_000) as again:
        assert FACTS == again.get("clips", KEY, into(tmp_path / "out"))
    assert (b"picture", b"sound") == tuple((tmp_path / "out" / name).read_bytes() for name in ("0.mov", "0.pcm"))
    assert store.get("clips", OTHER, into(tmp_path / "out")) is None
    assert store.get("segments", KEY, into(tmp_path / "out")) is None


def flip(path: Path) -> None:
    """Change one byte."""
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: flip(folder / "0.mov"), id="byte"),
        pytest.param(lambda folder: flip(folder / "0.pcm"), id="byte-of-the-last-file"),
        pytest.param(lambda folder: (folder / "0.mov").write_bytes(b"pic"), id="cut-off"),
        pytest.param(lambda folder: (folder / "0.pcm").unlink(), id="file-gone"),
        pytest.param(lambda folder: (folder / "entry.json").unlink(), id="no-facts"),
        pytest.param(lambda folder: (folder / "entry.json").write_text("{"), id="no-json"),
        pytest.param(lambda folder: (folder / "entry.json").write_text("[]"), id="list"),
        pytest.param(lambda folder: (folder / "entry.json").write_text('{"files": {"0.mov": 3}}'), id="no-numbers"),
        pytest.param(lambda folder: (folder / "entry.json").write_text('{"files": {}}'), id="no-facts-in-it"),
        pytest.param(lambda folder: (folder / "0.mov").unlink() or (folder / "0.mov").mkdir(), id="folder"),
    ],
)
async def test_a_damaged_entry_is_a_miss_and_goes(
    tmp_path: Path, store: Store, damage: Callable[[Path], object]
) -> None:
    """Nothing of it is left where it was to go, and a whole one can be put there anew."""
    store.put("clips", KEY, {name: _copy(path) for name, path in files(tmp_path).items()}, FACTS)
    damage(entry(tmp_path))

    assert store.get("clips", KEY, into(tmp_path / "out")) is None
    assert [] == list((tmp_path / "out").iterdir())
    assert not entry(tmp_path).exists()
    store.put("clips", KEY, files(tmp_path), FACTS)
    assert FACTS == store.get("clips", KEY, into(tmp_path / "out"))


def _copy(path: Path) -> Path:
    copy = path.with_name(f"copy-{path.name}")
    copy.write_bytes(path.read_bytes())
    return copy


async def test_a_name_that_leads_elsewhere_is_damage(tmp_path: Path, store: Store) -> None:
    """Whoever takes an entry says where its files may go."""
    store.put("clips", KEY, {"0.mov": tmp_path / "0.mov"}, FACTS)
    written = json.loads((entry(tmp_path) / "entry.json").read_text())
    (entry(tmp_path) / "entry.json").write_text(json.dumps(written | {"files": {"../x": [0, ""]}}))

    def place(name: str) -> Path:
        raise ValueError(name)

    assert store.get("clips", KEY, place) is None
    assert not entry(tmp_path).exists()


async def test_the_store_is_bounded_and_what_was_used_longest_ago_goes(tmp_path: Path, store: Store) -> None:
    """A hit counts as use; what would not fit in at all is not kept."""
    (tmp_path / "large").write_bytes(bytes(1500))
    keys = [f"{number:064}" for number in range(9)]
    for number, key in enumerate(keys):
        store.put("clips", key, {"f": tmp_path / "large"}, {})
        if entry(tmp_path, key).exists():
            os.utime(entry(tmp_path, key), (1000 + number, 1000 + number))
        if number == 2:
            assert store.get("clips", keys[0], into(tmp_path / "out")) is not None
    (tmp_path / "huge").write_bytes(bytes(20_000))
    store.put("clips", KEY, {"f": tmp_path / "huge"}, {})

    left = [key for key in keys if entry(tmp_path, key).exists()]
    assert keys[0] in left
    assert keys[1] not in left
    assert keys[-1] in left
    assert not entry(tmp_path).exists()
    assert sum(one.size for one in store.entries()) <= 10_000


async def test_where_files_can_not_be_linked_they_are_copied(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file system, say."""

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store.put("clips", KEY, files(tmp_path), FACTS)

    assert FACTS == store.get("clips", KEY, into(tmp_path / "out"))


async def test_an_entry_that_somebody_else_put_first_stays(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two renders make the same clip at once."""
    async with open_store(tmp_path / "cache", 10_000) as other:
        fill = Store._fill

        def late(*args: object, **given: object) -> None:
            fill(*args, **given)  # type: ignore[arg-type]
            monkeypatch.setattr(Store, "_fill", fill)
            other.put("clips", KEY, files(tmp_path), {"frames": 4})

        monkeypatch.setattr(Store, "_fill", late)
        store.put("clips", KEY, files(tmp_path), FACTS)

    assert {"frames": 4} == store.get("clips", KEY, into(tmp_path / "out"))


async def test_a_store_that_is_cleared_meanwhile_takes_what_comes(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the gap between making the branch and the entry, too."""
    rename = Path.rename
    has_cleared: list[bool] = []

    def clear_first(path: Path, target: Path) -> Path:
        if "clips" in target.parts and not has_cleared:
            has_cleared.append(True)
            rename(tmp_path / "cache" / "clips", tmp_path / "gone")
        return rename(path, target)

    store.put("clips", OTHER, files(tmp_path), FACTS)
    monkeypatch.setattr(Path, "rename", clear_first)
    store.put("clips", KEY, files(tmp_path), FACTS)

    assert [True] == has_cleared
    assert FACTS == store.get("clips", KEY, into(tmp_path / "out"))


async def test_info_counts_and_clear_removes_only_what_is_the_caches(tmp_path: Path, store: Store) -> None:
    """A folder that somebody named may hold other things."""
    (tmp_path / "cache" / "mine").touch()
    store.put("clips", KEY, files(tmp_path), FACTS)
    store.put("segments", OTHER, {"segment": tmp_path / "0.mov"}, {}, is_durable=False)

    info = cache_info(tmp_path / "cache")
    await clear_cache(tmp_path / "cache")

    assert (1, 1) == (info.clips, info.segments)
    assert info.size > 12
    assert 0 == cache_info(tmp_path / "cache").size
    assert (tmp_path / "cache" / "mine").exists()
    assert store.get("clips", KEY, into(tmp_path / "out")) is None


async def test_what_a_killed_render_left_half_done_goes(tmp_path: Path) -> None:
    """Its work folder is not locked any more."""
    left = tmp_path / "cache" / "work" / ".clipcut-dead"
    left.mkdir(parents=True)
    (left / "lock").touch()
    (left / "half").mkdir()
    async with open_store(tmp_path / "cache", 10_000):
        assert not left.exists()
        await trio.lowlevel.checkpoint()

    assert [] == list((tmp_path / "cache" / "work").iterdir())
    assert module.KINDS == ("clips", "segments")


@pytest.mark.parametrize("change", [("frames", "framez"), ("3", "4")], ids=["name", "number"])
async def test_facts_that_are_not_what_was_written_are_damage(
    tmp_path: Path, store: Store, change: tuple[str, str]
) -> None:
    """They are checked like the files: a wrong number of samples would shift all that follows."""
    store.put("clips", KEY, files(tmp_path), FACTS)
    path = entry(tmp_path) / "entry.json"
    head, mark, facts = path.read_text().partition('"facts"')
    path.write_text(head + mark + facts.replace(*change, 1))

    assert store.get("clips", KEY, into(tmp_path / "out")) is None
    assert not entry(tmp_path).exists()


async def test_trouble_of_the_machine_costs_no_entry(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No room where the files go: that is a miss, and the entry stays; one that can't be touched is a hit."""
    store.put("clips", KEY, files(tmp_path), FACTS)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_share", refuse)
        assert store.get("clips", KEY, into(tmp_path / "out")) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", refuse)
        assert FACTS == store.get("clips", KEY, into(tmp_path / "out"))


async def test_two_stores_of_one_folder_keep_to_the_limit_together(tmp_path: Path) -> None:
    """Each looks again after a small part of it."""
    (tmp_path / "f").write_bytes(bytes(3000))
    async with open_store(tmp_path / "cache", 100_000) as one, open_store(tmp_path / "cache", 100_000) as two:
        for number in range(60):
            (one, two)[number % 2].put("clips", f"{number:064}", {"f": tmp_path / "f"}, {})

    assert cache_info(tmp_path / "cache").size <= 110_000
