"""The network's side of a render: opened around the clips, with the sources that they share."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import attrs
import trio

from clipcut.digest import known_headers
from clipcut.errors import Reason, SourceError
from clipcut.events import Told
from clipcut.network.addresses import AddressBook, Zone
from clipcut.network.ask import Access, Trace, fill_in, origin_of
from clipcut.network.fetch import Fetcher
from clipcut.network.http import Wire
from clipcut.plan import Edit, Method, Plan, Rung, is_remote
from clipcut.sources.remote_video import Bench, Locate, RemoteVideo
from clipcut.sources.resolve import Media, RenewedError
from clipcut.sources.twelvelabs import TwelveLabsApi


@attrs.define(kw_only=True)
class Remote:
    """The network sources of one render.

    Attributes:
        plan: The clips.
        environ: Where the variables of headers come from.
        bench: What every source works with.
    """

    plan: Plan
    environ: Mapping[str, str]
    bench: Bench
    _edits: dict[str, list[Edit]] = attrs.field(init=False, factory=dict)
    _videos: dict[str, RemoteVideo] = attrs.field(init=False, factory=dict)
    _ended: dict[str, set[int]] = attrs.field(init=False, factory=dict)
    _renewed: set[str] = attrs.field(init=False, factory=set)
    _api: TwelveLabsApi = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Open nothing yet."""
        for edit in self.plan.edits:
            self._edits.setdefault(edit.clip.video_id, []).append(edit)
        self._api = TwelveLabsApi(self.bench.fetcher, self.environ)

    @contextlib.asynccontextmanager
    async def parts(self, edit: Edit, rung: Rung, told: Told) -> AsyncIterator[Media]:
        """Give what a clip is cut from.

        Raises:
            RenewedError: The source was found to have changed, and was opened anew: try once more.
            SourceError: It can't be had or used.
        """
        video = self.video(edit.clip.video_id, rung)
        try:
            async with video.parts(edit, told) as media:
                yield media
        except SourceError as exc:
            if self._may_renew(edit.clip.video_id, rung, video, exc):
                self._ended[edit.clip.video_id].discard(edit.index)
                raise RenewedError from exc
            raise

    async def identity(self, edit: Edit, rung: Rung, told: Told) -> str | None:
        """Return what a clip's source is known by; see ``RemoteVideo``.

        Raises:
            RenewedError: The source was found to have changed, and was opened anew: try once more.
            SourceError: It can't be had or used.
        """
        video = self.video(edit.clip.video_id, rung)
        try:
            return await video.identity(edit, told)
        except SourceError as exc:
            if self._may_renew(edit.clip.video_id, rung, video, exc):
                raise RenewedError from exc
            raise

    async def pass_over(self, edit: Edit, rung: Rung) -> None:
        """Expect a clip no more: what only it would need isn't fetched, or kept, for it."""
        await self.video(edit.clip.video_id, rung).pass_over(edit)

    def is_known(self, edit: Edit, rung: Rung) -> bool:
        """Whether ``identity`` would ask nobody any more."""
        return self.video(edit.clip.video_id, rung).is_known

    def video(self, video_id: str, rung: Rung) -> RemoteVideo:
        """Return a source; the first that asks makes it."""
        if video_id not in self._videos:
            ended = self._ended.setdefault(video_id, set())
            locate = self._locate(rung)
            self._videos[video_id] = RemoteVideo(video_id, self._edits[video_id], ended, locate, self.bench)
        return self._videos[video_id]

    def _may_renew(self, video_id: str, rung: Rung, video: RemoteVideo, failure: SourceError) -> bool:
        """Tell whether a clip should try once more with the source as it is now; open it anew if nobody has, once.

        A file that was changed is looked into anew, and an address that TwelveLabs gave, and that is forbidden now, is
        asked for anew.
        """
        has_expired = failure.reason is Reason.HTTP_403 and rung.twelvelabs is not None and video.is_located
        if not (failure.is_changed or has_expired):
            return False
        if self._videos[video_id] is not video:
            return True
        if video_id in self._renewed:
            return False
        self._renewed.add(video_id)
        del self._videos[video_id]
        return True

    def _locate(self, rung: Rung) -> Locate:
        if (named := rung.twelvelabs) is not None:

            async def resolve(told: Told) -> tuple[Access, Zone | None]:
                url, zone = await self._api.resolve(named.index_id, named.video_id, told)
                return Access(url=url, carries_query=rung.carries_query), zone

            return resolve

        async def known(_: Told) -> tuple[Access, Zone | None]:
            await trio.lowlevel.checkpoint()
            headers = fill_in(rung.headers, self.environ)
            access = Access(
                url=rung.location,
                headers=headers,
                known_headers=known_headers(rung.headers),
                carries_query=rung.carries_query,
            )
            return access, None

        return known


def trace_of(plan: Plan, trace_id: str) -> Trace:
    """Return whom a render's trace goes to: the origins that the timeline itself names."""
    rungs = {rung.location for edit in plan.edits for rung in edit.ladder if rung.method is Method.REMOTE}
    return Trace(trace_id=trace_id, origins=frozenset(origin_of(location) for location in rungs if is_remote(location)))


@contextlib.asynccontextmanager
async def open_fetcher(
    environ: Mapping[str, str],
    *,
    max_retry: Callable[[], int],
    rate: Callable[[], float | None],
    trace: Trace | None = None,
    book: AddressBook | None = None,
) -> AsyncIterator[Fetcher]:
    """Open the network; every connection is closed when the block is left.

    Args:
        environ: Names proxies.
        max_retry: Tells how often a request may be sent again.
        rate: Tells how many requests a second one host may get; None for any number.
        trace: Whom to tell of the render's trace; None for nobody.
        book: The addresses of hosts; tests give their own.
    """
    wire = Wire(book or AddressBook(), environ)
    fetcher = Fetcher(wire=wire, max_retry=max_retry, rate=rate, trace=trace or Trace())
    try:
        yield fetcher
    finally:
        with trio.CancelScope(shield=True):
            await wire.aclose()
