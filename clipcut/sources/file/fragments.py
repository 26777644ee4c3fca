"""A fragmented file as the playlist that it could have had: each fragment a segment, a range of the file."""

from clipcut.errors import Reason, SourceError
from clipcut.sources.file.layout import Fragmented
from clipcut.sources.file.ranged import RangedFile
from clipcut.sources.segments.playlist import Init, MediaPlaylist, Resource, Segment
from clipcut.sources.segments.track import Track, Tracks


def fragment_tracks(layout: Fragmented, file: RangedFile) -> Tracks:
    """Describe a fragmented file as a playlist.

    Args:
        layout: Where its fragments are.
        file: The file.

    Raises:
        SourceError: ``undecodable``; it has none.
    """
    url = file.access.url
    init = Init(resource=Resource(url=url, byte_range=(0, layout.init_end)), key=None)
    zero = layout.fragments[0].begin if layout.fragments else 0
    segments = tuple(
        Segment(
            number=number,
            resource=Resource(url=url, byte_range=(fragment.first, min(fragment.end, file.size))),
            begin=fragment.begin - zero,
            duration=fragment.seconds,
            run=0,
            init=init,
            key=None,
            is_gap=False,
        )
        for number, fragment in enumerate(layout.fragments)
        if fragment.first < file.size
    )
    if not segments:
        raise SourceError(Reason.UNDECODABLE, "the file has no fragment")
    track = Track(
        playlist=MediaPlaylist(segments=segments, is_live=False),
        led_by=file.led_by,
        noun="fragment",
        if_range=file.validator,
        of_size=file.size,
        keeps_places=layout.keeps_places,
    )
    return Tracks(video=track, audio=None, height=None)
