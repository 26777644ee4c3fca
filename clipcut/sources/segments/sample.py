"""What tells a video from another whose playlist says the same: the begin of its media, seen once in a render.

Servers that give one playlist under one address for many videos, and go by a header or a token, are common; and a video
may be packaged anew under the names that it had.
"""

import hashlib
from functools import partial

import attrs

from clipcut.digest import digest
from clipcut.errors import SourceError
from clipcut.events import Told
from clipcut.network.ask import Access, Ask
from clipcut.network.body import whole_size
from clipcut.network.fetch import Fetcher
from clipcut.sources.gather import gather
from clipcut.sources.segments.stage import HEAD, Item
from clipcut.sources.segments.track import Track, Tracks


def sample_of(track: Track) -> Item | None:
    """Return what is looked at: the head of the first segment, which a run's time zero is mostly read from as well.

    None where that would be of no use: the segments are ranges of a file that its server vouches for, the playlist may
    still change, or it has nothing but gaps.
    """
    if track.of_size is not None or track.playlist.is_live:
        return None
    segment = next((segment for segment in track.playlist.segments if not segment.is_gap), None)
    return track.item(segment).head() if segment is not None else None


@attrs.frozen(kw_only=True)
class Sampler:
    """Looks at the media of a video's playlists.

    Attributes:
        fetcher: Fetches.
        access: The source's address and headers.
    """

    fetcher: Fetcher
    access: Access
    brought: dict[Item, bytes] = attrs.field(init=False, factory=dict, repr=False)
    """What came, encrypted where it was, so that nobody fetches it once more."""

    async def sample(self, tracks: Tracks, told: Told) -> Tracks:
        """Return the playlists with what was seen of each; one whose first segment can't be had keeps none.

        That is no failure: no clip may need that segment.
        """
        wanted = [track for track in (tracks.video, tracks.audio) if track is not None]
        found = await gather(*(partial(self._look, track, told) for track in wanted))
        return attrs.evolve(tracks, video=found[0], audio=found[1] if len(found) > 1 else None)

    async def _look(self, track: Track, told: Told) -> Track:
        item = sample_of(track)
        if item is None:
            return track
        ask = Ask(
            url=item.resource.url,
            what=item.what,
            access=self.access,
            max_bytes=HEAD,
            byte_range=item.resource.byte_range,
            may_be_shorter=True,
            led_by=item.led_by,
            may_be_packed=True,  # whoever takes what was brought unpacks it
        )
        try:
            data, answer = await self.fetcher.fetch_bytes(ask, told)
        except SourceError:
            return track
        self.brought[item] = data
        head = hashlib.sha256(data).hexdigest()
        return attrs.evolve(track, sample=digest(whole_size(answer), answer.validator, head))
