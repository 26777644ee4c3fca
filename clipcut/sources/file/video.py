"""A video in one file behind HTTP: the index once, then for each clip the bytes that it needs, cut from the shadow."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.ffmpeg.argv import need_of
from clipcut.ffmpeg.need import Need, Side
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.ffmpeg.readers import Readers
from clipcut.plan import Edit
from clipcut.sources.file.index import Index, Range, merged, read_index
from clipcut.sources.file.layout import Indexed, Layout
from clipcut.sources.file.shadow import RemoteFile, put_bytes
from clipcut.sources.file.streamed import MAX_STREAMED, StreamedFile
from clipcut.timeline import Output

MAX_PICTURE = 8 * 1024 * 1024
"""How many bytes of the first picture are fetched to know what it is like."""


@attrs.define(kw_only=True, eq=False)
class FilePart:
    """A clip, and the file that it is cut from.

    Attributes:
        edit: The clip.
        video: The file.
        earlier: At how many keyframes before the right one it begins.
    """

    edit: Edit
    video: "FileVideo"
    earlier: int = 0

    async def info(self, told: Told) -> MediaInfo:
        """Have the bytes that the clip needs, and tell what the file is like."""
        await self.video.file.need(self.video.ranges(self.edit, self.earlier), told)
        return self.video.info_now()

    def extend(self, side: Side, *, is_sound: bool) -> None:  # noqa: ARG002  there is only one way to go
        """Begin one keyframe earlier.

        Raises:
            SourceError: There is none: what the index says isn't what is in the file.
        """
        index = self.video.index
        if index is None or self.earlier >= len(index.video.keys):
            raise SourceError(Reason.UNDECODABLE, f"{self.video.info.called}: its index doesn't fit what is in it")
        self.earlier += 1


@attrs.frozen(kw_only=True, eq=False)
class FileVideo:
    """A file that is cut from its shadow.

    Attributes:
        file: The file and its shadow.
        info: What it is like.
        index: Which bytes a clip needs; None where every byte is there.
        output: The output's form.
    """

    file: RemoteFile
    info: MediaInfo
    index: Index | None
    output: Output

    def info_now(self) -> MediaInfo:
        """Tell what it is like, and which bytes of it are there before somebody reads: others may come meanwhile."""
        return attrs.evolve(self.info, has_bytes=self.file.now() if self.index is not None else None)

    def ranges(self, edit: Edit, earlier: int = 0) -> list[Range]:
        """Return the bytes that a clip needs."""
        if self.index is None:
            return [(0, self.file.size)]
        return self.index.ranges(self._need(edit), earlier=earlier)

    def _need(self, edit: Edit) -> Need:
        return need_of(edit, self.info.video, self.output.fps)

    def expect(self, edits: Iterable[Edit]) -> None:
        """Let a download end where the last bytes are that any of these clips needs."""
        if isinstance(self.file, StreamedFile) and self.index is not None:
            self.file.stop_at = max((end for edit in edits for _, end in merged(self.ranges(edit))), default=0)

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit) -> AsyncIterator[Sequence[FilePart]]:
        """Give what a clip is cut from: one part, as all of the file has one clock."""
        await trio.lowlevel.checkpoint()
        yield [FilePart(edit=edit, video=self)]


async def open_file_video(
    file: RemoteFile,
    layout: Layout,
    edits: Sequence[Edit],
    output: Output,
    name: str,
    probe_shown: Callable[[Path], Awaitable[MediaInfo]],
    readers: Readers,
    told: Told,
) -> FileVideo:
    """Fetch a file's index, and look into it.

    Args:
        file: The file and its shadow.
        layout: How it is laid out.
        edits: Its clips.
        output: The output's form.
        name: What it is called in messages.
        probe_shown: Looks into a local file, and finds out how its pictures are to be shown.
        readers: Who opens media.
        told: Is told of requests that are sent again.

    Raises:
        SourceError: It can't be had or used.
    """
    try:
        if not isinstance(layout, Indexed):
            if file.size > MAX_STREAMED:
                words = f"all {file.size} bytes of it would be needed, more than {MAX_STREAMED}"
                raise SourceError(Reason.TOO_LARGE, words)
            await file.need([(0, file.size)], told)
            info = await probe_shown(file.path)
            return FileVideo(file=file, info=_named(info, name), index=None, output=output)
        await file.need(layout.ranges, told)
        for at in layout.hidden:
            await trio.to_thread.run_sync(put_bytes, file.path, b"free", at + 4, limiter=file.threads)
        index = await readers.run(read_index, file.path)
        first, end = index.first_picture
        await file.need([(first, min(end, first + MAX_PICTURE))], told)
        info = await probe_shown(file.path)
    except SourceError as exc:
        raise exc.renamed(file.path, name) from exc
    video = FileVideo(file=file, info=_named(info, name), index=index, output=output)
    video.expect(edits)
    return video


def _named(info: MediaInfo, name: str) -> MediaInfo:
    """Describe the shadow: it changes while it is read, so it has no identity."""
    return attrs.evolve(info, name=name, identity=())
