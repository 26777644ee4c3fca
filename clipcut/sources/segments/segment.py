"""A segment as a local file: decrypted, known by its first bytes, and whole as far as its own structure tells."""

import enum
from pathlib import Path
from typing import BinaryIO

import trio
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from clipcut.errors import Reason, SourceError, raise_if_machine
from clipcut.ffmpeg.transport import PACKET, find_damage, is_transport_stream
from clipcut.network.body import FileSink
from clipcut.sources.file.boxes import HEADER, read_box
from clipcut.sources.segments.packed import is_packed, unpack

_MOST_BOXES = 10_000
_MATROSKA = (b"\x1a\x45\xdf\xa3", b"\x1f\x43\xb6\x75")
_CHUNK = 1 << 20
_BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"mdat", b"free", b"skip", b"uuid")
_PACKED = (b"ID3", b"\x0b\x77", *(bytes((0xFF, low)) for low in (0xF0, 0xF1, 0xF8, 0xF9, 0xFA, 0xFB, 0xF2, 0xF3)))


class Kind(enum.Enum):
    """What a segment is, by its first bytes."""

    TRANSPORT_STREAM = "transport stream"
    FRAGMENT = "fragmented MP4"
    PACKED_AUDIO = "packed audio"
    CLUSTER = "Matroska"


def kind_of(head: bytes) -> Kind | None:
    """Know a segment by its first bytes; None if it is none of the kinds that HLS has."""
    if is_transport_stream(head):
        return Kind.TRANSPORT_STREAM
    if head[4:8] in _BOXES:
        return Kind.FRAGMENT
    if head.startswith(_MATROSKA):
        return Kind.CLUSTER
    return Kind.PACKED_AUDIO if head.startswith(_PACKED) else None


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


class SegmentSink(FileSink):
    """Writes a segment, and when all of it came unpacks it, decrypts it and sees that it is media, and whole.

    It can then be asked for once more, if it isn't: a server may state a wrong length.
    """

    def __init__(
        self, path: Path, threads: trio.CapacityLimiter, what: str, key: bytes, iv: bytes, *, is_head: bool, most: int
    ) -> None:
        """Write to ``path`` what is called ``what`` in messages.

        Args:
            path: The file.
            threads: A place for each thread.
            what: What it is.
            key: 16 bytes; none if it isn't encrypted.
            iv: The initialization vector that goes with the key.
            is_head: Whether it is only the begin of a segment.
            most: How many bytes it may have, unpacked.
        """
        super().__init__(path, threads)
        self._what = what
        self._key = key
        self._iv = iv
        self._is_head = is_head
        self._most = most

    async def finish(self) -> None:
        """Write what is left, unpack, decrypt, look.

        Raises:
            SourceError: ``undecodable``, ``truncated`` or ``too_large``.
        """
        await super().finish()
        await trio.to_thread.run_sync(self._look, limiter=self._threads)

    def _look(self) -> None:
        try:
            self._unpack(is_sure=not self._key)
            if self._key:
                self._decrypt()
                self._unpack(is_sure=True)
            self._check()
        except OSError as exc:
            raise_if_machine(exc)
            raise

    def _unpack(self, *, is_sure: bool) -> None:
        """Undo gzip, if that is what it looks like; encrypted bytes do by chance, one in 16 million."""
        if not is_packed(self._path):
            return
        target = self._path.with_suffix(".unpacked")
        try:
            unpack(self._path, target, self._what, self._most, is_head=self._is_head)
            target.replace(self._path)
        except SourceError:
            if is_sure:
                raise
        finally:
            target.unlink(missing_ok=True)

    def _decrypt(self) -> None:
        target = self._path.with_suffix(".clear")
        try:
            decrypt(self._path, target, self._key, self._iv, is_padded=not self._is_head)
            target.replace(self._path)
        except ValueError as exc:
            raise SourceError(Reason.UNDECODABLE, f"{self._what}: can't be decrypted with its key") from exc
        finally:
            target.unlink(missing_ok=True)

    def _check(self) -> None:
        """See that it is media, and whole: a page that asks to sign in comes with status 200 too."""
        head, is_whole = _look_into(self._path)
        if kind_of(head) is None:
            seems = "an HTML page" if head.lstrip()[:1] == b"<" else f"{head[:8].hex(' ')}" if head else "nothing"
            raise SourceError(Reason.UNDECODABLE, f"{self._what}: is no media; it begins with {seems}")
        if self._is_head:
            return
        if not is_whole:
            words = f"{self._what}: ends in the middle of a packet or box"
            raise SourceError(Reason.TRUNCATED, words, is_passing=True)
        if kind_of(head) is Kind.TRANSPORT_STREAM and (damage := find_damage(self._path)) is not None:
            raise SourceError(Reason.UNDECODABLE, f"{self._what}: is damaged; {damage}")


def _look_into(path: Path) -> tuple[bytes, bool]:
    """Return a segment's first bytes, and whether it ends where its last packet or box does."""
    with path.open("rb") as file:
        head = file.read(256)
        size = path.stat().st_size
        kind = kind_of(head)
        if kind is Kind.TRANSPORT_STREAM:
            return head, size % PACKET == 0
        return head, kind is not Kind.FRAGMENT or _has_whole_boxes(file, size)


def _has_whole_boxes(file: BinaryIO, size: int) -> bool:
    at = 0
    for _ in range(_MOST_BOXES):
        if at >= size:
            break
        file.seek(at)
        try:
            box = read_box(file.read(HEADER), at)
        except SourceError:
            return False
        at = at + box.size if box.size is not None else size
    return at <= size  # what has more boxes than any segment isn't followed to its end
