"""The pieces of one video on disk: each fetched once, decrypted, looked at, and gone after its last reader."""

import enum
import itertools
from collections.abc import Iterable
from pathlib import Path

import attrs
import trio
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.events import Told
from clipcut.sources.addresses import Zone
from clipcut.sources.ask import Access, Ask
from clipcut.sources.fetch import Fetcher
from clipcut.sources.hls import Key, Resource
from clipcut.sources.shared import Shared

MAX_SEGMENT = 512 * 1024 * 1024
HEAD = 64 * 1024
"""How many bytes of a segment tell where its time begins."""

_KEY_BYTES = 16
_CHUNK = 1 << 20
_PACKET = 188
_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"mdat", b"free", b"skip", b"uuid")
_PACKED = (b"ID3", b"\x0b\x77", *(bytes((0xFF, low)) for low in (0xF0, 0xF1, 0xF8, 0xF9, 0xFA, 0xFB, 0xF2, 0xF3)))


class Kind(enum.Enum):
    """What a segment is, by its first bytes."""

    TRANSPORT_STREAM = "transport stream"
    FRAGMENT = "fragmented MP4"
    PACKED_AUDIO = "packed audio"


def kind_of(head: bytes) -> Kind | None:
    """Know a segment by its first bytes; None if it is none of the kinds that HLS has."""
    if head[:1] == b"G" and (len(head) == _PACKET or head[_PACKET : _PACKET + 1] == b"G"):
        return Kind.TRANSPORT_STREAM
    if head[4:8] in _BOXES:
        return Kind.FRAGMENT
    return Kind.PACKED_AUDIO if head.startswith(_PACKED) else None


@attrs.frozen(kw_only=True)
class Item:
    """A piece to be staged.

    Attributes:
        resource: Where it is.
        key: What it is encrypted with; None if it isn't.
        is_head: Whether it is the begin of something: it may be shorter than asked for, and ends in the middle.
        what: What it is, for messages.
        led_by: The zone of the playlist that names it.
    """

    resource: Resource
    key: Key | None
    is_head: bool = False
    what: str = attrs.field(eq=False)
    led_by: Zone = attrs.field(eq=False)

    def head(self) -> "Item":
        """Return its first bytes as an item of their own."""
        first, end = self.resource.byte_range or (0, HEAD)
        resource = attrs.evolve(self.resource, byte_range=(first, min(end, first + HEAD)))
        return attrs.evolve(self, resource=resource, is_head=True, what=f"the head of {self.what}")


def decrypt(path: Path, target: Path, key: bytes, iv: bytes, *, is_padded: bool) -> None:
    """Decrypt AES-128 in CBC mode. Blocks; call it in a thread.

    Raises:
        ValueError: It isn't a whole number of blocks, or what comes out has no padding: another key, or damage.
    """
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(128).unpadder() if is_padded else None
    with path.open("rb") as source, target.open("wb") as out:
        while data := source.read(_CHUNK):
            clear = cipher.update(data)
            out.write(unpadder.update(clear) if unpadder is not None else clear)
        if unpadder is not None:
            out.write(unpadder.update(cipher.finalize()) + unpadder.finalize())


class Stage:
    """What is staged of one video."""

    def __init__(
        self, fetcher: Fetcher, access: Access, folder: Path, nursery: trio.Nursery, threads: trio.CapacityLimiter
    ) -> None:
        """Stage into ``folder``, a new one or one that others use too; downloads run in ``nursery``."""
        self._fetcher = fetcher
        self._access = access
        self._folder = folder
        self._nursery = nursery
        self._threads = threads
        self._numbers = itertools.count()
        self._files: dict[Item, Shared[Path]] = {}
        self._keys: dict[str, Shared[bytes]] = {}
        self._readers: dict[Item, set[int]] = {}

    def expect(self, items: Iterable[Item], reader: int) -> None:
        """Keep these, once they are there, until ``reader`` has been released."""
        for item in items:
            self._readers.setdefault(item, set()).add(reader)

    def is_expected(self, item: Item) -> bool:
        """Whether somebody is going to need it, or has it."""
        return bool(self._readers.get(item))

    async def release(self, reader: int) -> None:
        """Forget a reader, and drop what nobody needs any more."""
        gone = []
        for item, readers in list(self._readers.items()):
            readers.discard(reader)
            if not readers:
                del self._readers[item]
                gone.append(self._files.pop(item, None))
        for shared in gone:
            if shared is not None and (path := shared.value) is not None:
                await trio.to_thread.run_sync(_unlink, path, limiter=self._threads)

    async def get(self, item: Item, told: Told) -> Path:
        """Return an item's file; whoever asks first has it fetched, the others wait for that.

        Raises:
            SourceError: It can't be had; says why.
        """
        if item not in self._files:

            async def work(told: Told) -> Path:
                return await self._fetch(item, told)

            self._files[item] = Shared(self._nursery, work)
        return await self._files[item].get(told)

    async def _fetch(self, item: Item, told: Told) -> Path:
        path = self._folder / f"{next(self._numbers):06}"
        is_kept = False
        ask = Ask(
            url=item.resource.url,
            what=item.what,
            access=self._access,
            max_bytes=HEAD if item.is_head else MAX_SEGMENT,
            byte_range=item.resource.byte_range,
            may_be_shorter=item.is_head,
            led_by=item.led_by,
        )
        try:
            await self._fetcher.fetch_file(ask, path, self._threads, told)
            if item.key is not None:
                await self._decrypt(item, item.key, path, told)
            await self._look(item, path)
            await trio.lowlevel.checkpoint_if_cancelled()  # threads end their work first: nobody may want it any more
            is_kept = True
        finally:
            if not is_kept:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(_unlink, path, limiter=self._threads)
        return path

    async def _decrypt(self, item: Item, key: Key, path: Path, told: Told) -> None:
        secret = await self._key(key, item.led_by, told)
        target = path.with_suffix(".clear")

        def work() -> None:
            try:
                decrypt(path, target, secret, key.iv, is_padded=not item.is_head)
                target.replace(path)
            except ValueError as exc:
                raise SourceError(Reason.UNDECODABLE, f"{item.what}: can't be decrypted with its key") from exc
            except OSError as exc:
                raise_if_machine(exc)
                raise
            finally:
                target.unlink(missing_ok=True)

        await trio.to_thread.run_sync(work, limiter=self._threads)

    async def _key(self, key: Key, led_by: Zone, told: Told) -> bytes:
        """Return a key, fetched once, and never written anywhere."""
        if key.url not in self._keys:
            ask = Ask(url=key.url, what="the key", access=self._access, max_bytes=HEAD, led_by=led_by)

            async def work(told: Told) -> bytes:
                data, _ = await self._fetcher.fetch_bytes(ask, told)
                if len(data) != _KEY_BYTES:
                    words = f"the key has {len(data)} bytes, and AES-128 needs {_KEY_BYTES}"
                    raise SourceError(Reason.UNDECODABLE, words)
                return data

            self._keys[key.url] = Shared(self._nursery, work)
        return await self._keys[key.url].get(told)

    async def _look(self, item: Item, path: Path) -> None:
        """See that it is media: a page that asks to sign in comes with status 200 too."""
        head = await trio.to_thread.run_sync(_read_head, path, limiter=self._threads)
        if kind_of(head) is None:
            seems = "an HTML page" if head.lstrip()[:1] == b"<" else f"{head[:8].hex(' ')}" if head else "nothing"
            raise SourceError(Reason.UNDECODABLE, f"{item.what}: is no media; it begins with {seems}")


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError as exc:
        raise_if_machine(exc)
        raise


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
