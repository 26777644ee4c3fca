"""One network source of a render: found out once what it is, whatever form it has, and shared by its clips."""

import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import attrs
import trio

from clipcut.digest import digest, known_address
from clipcut.errors import Reason, SourceError
from clipcut.events import Listener, Told
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.readers import Readers
from clipcut.network.addresses import Zone
from clipcut.network.ask import Access
from clipcut.network.fetch import Fetcher
from clipcut.plan import Edit
from clipcut.redact import redact_url
from clipcut.sources.file.fragments import fragment_tracks
from clipcut.sources.file.layout import Fragmented, Indexed, find_layout
from clipcut.sources.file.ranged import RangedFile
from clipcut.sources.file.shadow import make_shadow
from clipcut.sources.file.streamed import MAX_STREAMED, StreamedFile
from clipcut.sources.file.video import FileVideo, open_file_video
from clipcut.sources.hls.load import TrackLoader
from clipcut.sources.opening import File, Playlist, open_source
from clipcut.sources.resolve import Media
from clipcut.sources.segments.sample import Sampler
from clipcut.sources.segments.stage import Item, Kept, Shadow, Stage
from clipcut.sources.segments.track import Tracks
from clipcut.sources.segments.video import SegmentedVideo
from clipcut.sources.shared import Shared
from clipcut.timeline import Output

MAX_FILE = 1024**4
"""No file is larger, in bytes."""

Locate = Callable[[Told], Awaitable[tuple[Access, Zone | None]]]
"""Finds a source's address: what its own origin gets, and the zone of what named it, None for the user."""


@attrs.frozen(kw_only=True, eq=False)
class Bench:
    """What every network source of a render works with.

    Attributes:
        fetcher: Fetches.
        output: The output's form.
        folder: The private work folder.
        nursery: Where downloads run.
        threads: A place for each thread.
        readers: Who opens media.
        probe: Looks into a local file, and finds out how its pictures are to be shown.
        listener: Is told of sources that were found.
        keep: Returns where the segments of a source are kept for a render after a kill; None where nothing is kept,
            so that nobody asks what a source is known by.
        only_looks: Whether nothing but playlists and indexes is fetched, as nothing is going to be cut.
    """

    fetcher: Fetcher
    output: Output
    folder: Path
    nursery: trio.Nursery
    threads: trio.CapacityLimiter
    readers: Readers
    probe: Callable[[Path], Awaitable[MediaInfo]]
    listener: Listener
    keep: Callable[[str], Kept] | None = None
    only_looks: bool = False
    numbers: "itertools.count[int]" = attrs.field(factory=itertools.count)

    async def new_folder(self) -> Path:
        """Make a folder for one source."""
        folder = self.folder / f"video-{next(self.numbers):06}"
        await trio.to_thread.run_sync(folder.mkdir, limiter=self.threads)
        return folder


@attrs.frozen(eq=False)
class WholeFile:
    """A file that would have to be fetched from its begin on; what a source is found to be where nothing is cut.

    ``head`` is how many bytes of it have come, and would not be fetched once more.
    """

    name: str
    size: int | None
    head: int

    def parts(self, edit: Edit) -> NoReturn:
        """Is never asked for."""
        raise AssertionError(f"{self.name} was only looked at, and {edit.name} can't be cut from it")


class RemoteVideo:
    """A source."""

    def __init__(self, video_id: str, edits: Sequence[Edit], ended: set[int], locate: Locate, bench: Bench) -> None:
        """Know nothing yet.

        Args:
            video_id: Its name in the timeline.
            edits: All its clips.
            ended: The numbers of those that have ended; kept up here.
            locate: Finds its address.
            bench: What it works with.
        """
        self._video_id = video_id
        self._edits = edits
        self._ended = ended
        self._locate = locate
        self._bench = bench
        self._found = Shared(bench.nursery, self._find)
        self._opened = Shared(bench.nursery, self._open)
        self.is_located = False
        """Whether its address was found: what fails then is no fault of who was asked for it."""

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit, told: Told) -> AsyncIterator[Media]:
        """Give what a clip is cut from.

        Args:
            edit: One of the source's clips.
            told: Is told of requests that are sent again for it.

        Raises:
            SourceError: The source can't be had or used.
        """
        try:
            video = await self.opened(told)
            async with video.parts(edit) as parts:
                yield Media(parts, await self.identity(edit, told))
        finally:
            self._ended.add(edit.index)

    async def pass_over(self, edit: Edit) -> None:
        """Expect a clip no more: it was finished before."""
        self._ended.add(edit.index)
        video = self._opened.value
        if isinstance(video, SegmentedVideo):
            await video.stage.release(edit.index, is_over=False)
        elif isinstance(video, FileVideo):
            video.expect(edit for edit in self._edits if edit.index not in self._ended)

    async def identity(self, edit: Edit, told: Told) -> str | None:
        """Return what the source is known by, as far as a clip is cut from it; None if it can't be told from another.

        A file is known by its address, its begin and what its server says of its state, a playlist by its address, all
        that is in it, and what was seen of its first segment.

        Raises:
            SourceError: The source can't be had or used.
        """
        access, _, found = await self._found.get(told)
        if isinstance(found, File):
            return _file_identity(access, found)
        video = await self.opened(told)
        assert isinstance(video, SegmentedVideo)  # noqa: S101  that is what a playlist becomes
        tracks = video.tracks.identity(is_silent=edit.is_silent)
        return digest(tracks, *_address_facts(access)) if tracks is not None else None

    @property
    def is_known(self) -> bool:
        """Whether its identity is known without asking anybody any more, or that it has none as it can't be had."""
        if not self._found.is_settled:
            return False
        found = self._found.value
        return found is None or isinstance(found[2], File) or self._opened.is_settled

    async def opened(self, told: Told) -> SegmentedVideo | FileVideo | WholeFile:
        """Return what it turned out to be."""
        return await self._opened.get(told)

    async def _find(self, told: Told) -> tuple[Access, Zone | None, Playlist | File]:
        access, led_by = await self._locate(told)
        self.is_located = True
        return access, led_by, await open_source(self._bench.fetcher, access, led_by, told)

    async def _open(self, told: Told) -> SegmentedVideo | FileVideo | WholeFile:
        access, led_by, found = await self._found.get(told)
        if isinstance(found, Playlist):
            return await self._open_playlist(access, found, told)
        return await self._open_file(access, led_by, found, told)

    async def _open_playlist(self, access: Access, found: Playlist, told: Told) -> SegmentedVideo:
        loader = TrackLoader(
            fetcher=self._bench.fetcher,
            access=access,
            height=self._bench.output.height,
            wants_sound=not all(edit.is_silent for edit in self._edits),
            threads=self._bench.threads,
        )
        tracks = await loader.load(found.data, found.answer, told)
        sampler = Sampler(fetcher=self._bench.fetcher, access=access)
        if self._bench.keep is not None:
            tracks = await sampler.sample(tracks, told)
        known = tracks.identity(is_silent=False)
        identity = digest(known, *_address_facts(access)) if known is not None else None
        return await self._segmented(access, tracks, "HLS", identity, brought=sampler.brought)

    async def _segmented(
        self,
        access: Access,
        tracks: Tracks,
        form: str,
        identity: str | None,
        *,
        shadow: Shadow | None = None,
        brought: Mapping[Item, bytes] | None = None,
    ) -> SegmentedVideo:
        bench, folder = self._bench, await self._bench.new_folder()
        kept = bench.keep(identity) if identity is not None and bench.keep is not None else None
        stage = Stage(bench.fetcher, access, folder, bench.nursery, bench.threads, shadow, kept, brought)
        video = SegmentedVideo(
            tracks=tracks,
            name=redact_url(access.url),
            stage=stage,
            output=bench.output,
            nursery=bench.nursery,
            folder=folder,
            threads=bench.threads,
            readers=bench.readers,
            probe_shown=bench.probe,
        )
        video.expect(edit for edit in self._edits if edit.index not in self._ended)
        self._tell(access, _facts(tracks) | {"form": form})
        return video

    async def _open_file(
        self, access: Access, led_by: Zone | None, found: File, told: Told
    ) -> SegmentedVideo | FileVideo | WholeFile:
        if self._bench.only_looks and not found.takes_ranges:
            return WholeFile(redact_url(access.url), found.size, 0)
        file = await self._shadow(access, led_by, found)

        async def read(first: int, end: int) -> bytes:
            return await file.read(first, end, told)

        layout = await find_layout(found.head, file.size, read)
        if isinstance(layout, Fragmented) and isinstance(file, RangedFile):
            tracks = fragment_tracks(layout, file)
            identity = _file_identity(access, found)
            return await self._segmented(access, tracks, "fragments", identity, shadow=file)
        if self._bench.only_looks and not isinstance(layout, Indexed):
            return WholeFile(redact_url(access.url), file.size, len(found.head))
        video = await open_file_video(
            file,
            layout,
            [edit for edit in self._edits if edit.index not in self._ended],
            self._bench.output,
            redact_url(access.url),
            self._bench.probe,
            self._bench.readers,
            told,
        )
        form = "file" if isinstance(file, RangedFile) else "stream"
        self._tell(access, {"form": form, "bytes": file.size})
        return video

    async def _shadow(self, access: Access, led_by: Zone | None, found: File) -> RangedFile | StreamedFile:
        """Make the local file that stands for a file."""
        bench = self._bench
        path = await bench.new_folder() / "file"
        size = found.size if found.size is not None else MAX_STREAMED
        if found.takes_ranges and size > MAX_FILE:
            raise SourceError(Reason.TOO_LARGE, f"the file has {size} bytes, if that can be believed")
        if not found.takes_ranges and size > MAX_STREAMED:
            words = f"the server gives the file only as a whole, and its {size} bytes are more than {MAX_STREAMED}"
            raise SourceError(Reason.TOO_LARGE, words)
        await trio.to_thread.run_sync(make_shadow, path, size, limiter=bench.threads)
        make = RangedFile if found.takes_ranges else StreamedFile
        file = make(
            access=access,
            led_by=led_by,
            path=path,
            size=size,
            validator=found.validator,
            fetcher=bench.fetcher,
            nursery=bench.nursery,
            threads=bench.threads,
        )
        if isinstance(file, StreamedFile):
            return file
        await file.put(0, found.head)
        return file

    def _tell(self, access: Access, facts: dict[str, object]) -> None:
        self._bench.listener.source_resolved(self._video_id, redact_url(access.url), facts)


def _file_identity(access: Access, found: File) -> str | None:
    """Return what a file is known by; None where its server says nothing that would tell it from a later one."""
    if found.validator is None or found.size is None:
        return None
    head = hashlib.sha256(found.head).hexdigest()
    return digest("file", *_address_facts(access), found.size, found.validator, head)


def _address_facts(access: Access) -> tuple[object, ...]:
    carried = ("carry_query",) if access.carries_query else ()  # its segments are others, perhaps
    return known_address(access.url), access.known_headers, *carried


def _facts(tracks: Tracks) -> dict[str, object]:
    """Say of a source what an operator wants to know."""
    playlist = tracks.video.playlist
    return {
        "segments": len(playlist.segments),
        "seconds": round(float(playlist.seconds), 3),
        "height": tracks.height,
        "has_separate_sound": tracks.audio is not None,
        "is_live": playlist.is_live,
        "is_encrypted": any(segment.key is not None for segment in playlist.segments),
    }
