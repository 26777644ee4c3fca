"""The network's side of a render: opened around the clips, with the downloads that they share."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import attrs
import trio

from clipcut.errors import Reason, SourceError
from clipcut.events import Listener, Told
from clipcut.ffmpeg.probe import MediaInfo
from clipcut.plan import Edit, Plan, Rung
from clipcut.redact import redact_url
from clipcut.sources.addresses import AddressBook
from clipcut.sources.ask import Access, fill_in
from clipcut.sources.fetch import Fetcher
from clipcut.sources.hls_part import HlsPart
from clipcut.sources.hls_video import HlsVideo
from clipcut.sources.http import Wire
from clipcut.sources.stage import Stage
from clipcut.sources.tracks import TrackLoader, Tracks


@attrs.define(kw_only=True)
class Remote:
    """The network sources of one render.

    Attributes:
        plan: The clips.
        fetcher: Fetches.
        threads: A place for each thread.
        listener: Is told of sources that were found.
        environ: Where the variables of headers come from.
        folder: The private work folder.
        nursery: Where downloads run.
        probe: Looks into a local file.
    """

    plan: Plan
    fetcher: Fetcher
    threads: trio.CapacityLimiter
    listener: Listener
    environ: Mapping[str, str]
    folder: Path
    nursery: trio.Nursery
    probe: Callable[[Path], Awaitable[MediaInfo]]
    _videos: dict[str, HlsVideo] = attrs.field(init=False, factory=dict)

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit, rung: Rung, told: Told) -> AsyncIterator[list[HlsPart]]:
        """Give what a clip is cut from, as ``HlsVideo.parts`` does."""
        video_id = edit.clip.video_id
        if video_id not in self._videos:
            self._videos[video_id] = self._open(video_id, rung)
        async with self._videos[video_id].parts(edit, told) as parts:
            yield parts

    def _open(self, video_id: str, rung: Rung) -> HlsVideo:
        if not rung.location.startswith(("http://", "https://")):
            raise SourceError(Reason.REFUSED, "this version of clipcut can't look up TwelveLabs videos yet")
        edits = [edit for edit in self.plan.edits if edit.clip.video_id == video_id]
        access = Access(url=rung.location, headers=fill_in(rung.headers, self.environ))
        loader = TrackLoader(
            fetcher=self.fetcher,
            access=access,
            height=self.plan.output.height,
            wants_sound=not all(edit.is_silent for edit in edits),
            threads=self.threads,
        )

        def found(tracks: Tracks) -> None:
            self.listener.source_resolved(video_id, redact_url(access.url), _facts(tracks))

        return HlsVideo(
            edits=edits,
            loader=loader,
            stage=Stage(self.fetcher, access, self._folder(), self.nursery, self.threads),
            output=self.plan.output,
            nursery=self.nursery,
            folder=self.folder,
            probe_turned=self.probe,
            found=found,
        )

    def _folder(self) -> Path:
        folder = self.folder / f"video-{len(self._videos):06}"
        folder.mkdir()
        return folder


def _facts(tracks: Tracks) -> dict[str, object]:
    """Say of a source what an operator wants to know."""
    playlist = tracks.video.playlist
    return {
        "segments": len(playlist.segments),
        "seconds": round(float(playlist.seconds), 3),
        "height": tracks.variant.height if tracks.variant is not None else None,
        "has_separate_sound": tracks.audio is not None,
        "is_live": playlist.is_live,
        "is_encrypted": any(segment.key is not None for segment in playlist.segments),
    }


@contextlib.asynccontextmanager
async def open_fetcher(
    environ: Mapping[str, str],
    *,
    max_retry: Callable[[], int],
    rate: Callable[[], float | None],
    book: AddressBook | None = None,
) -> AsyncIterator[Fetcher]:
    """Open the network; every connection is closed when the block is left.

    Args:
        environ: Names proxies.
        max_retry: Tells how often a request may be sent again.
        rate: Tells how many requests a second one host may get; None for any number.
        book: The addresses of hosts; tests give their own.
    """
    wire = Wire(book or AddressBook(), environ)
    fetcher = Fetcher(wire=wire, max_retry=max_retry, rate=rate)
    try:
        yield fetcher
    finally:
        with trio.CancelScope(shield=True):
            await wire.aclose()
