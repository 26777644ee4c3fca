"""The variant to cut from: the one that suits the output, of those that can be decoded."""

import pytest

from clipcut.errors import Reason, SourceError
from clipcut.sources.hls.master import MasterPlaylist, Variant, choose_variant


def variants(*each: tuple[int | None, int, str]) -> MasterPlaylist:
    """Variants of a height, a bandwidth and codecs; their addresses are their places, from 0."""
    return MasterPlaylist(
        variants=tuple(
            Variant(url=str(place), height=height, bandwidth=rate, codecs=tuple(codecs.split()), audio=None)
            for place, (height, rate, codecs) in enumerate(each)
        )
    )


@pytest.mark.parametrize(
    ("playlist", "height", "url"),
    [
        pytest.param(variants((1080, 5, ""), (720, 3, ""), (480, 1, "")), 720, "1", id="same height"),
        pytest.param(variants((480, 1, ""), (1080, 5, ""), (2160, 9, "")), 720, "1", id="next height"),
        pytest.param(variants((720, 5, ""), (720, 3, ""), (720, 4, "")), 720, "1", id="lowest bandwidth"),
        pytest.param(variants((360, 1, ""), (480, 1, ""), (480, 3, ""), (480, 2, "")), 720, "2", id="none is so tall"),
        pytest.param(variants((None, 9, ""), (480, 1, "")), 720, "1", id="height that isn't said"),
        pytest.param(variants((None, 1, ""), (None, 3, ""), (None, 2, "")), 720, "1", id="no height is said"),
        pytest.param(variants((None, 9, ""), (720, 1, "dvh1")), 720, "0", id="only that with a height can't be used"),
        pytest.param(variants((720, 1, "dvh1.05 mp4a.40.2"), (1080, 9, "avc1.64")), 720, "1", id="unknown codec"),
        pytest.param(variants((720, 1, "avc1 ac-4"), (1080, 9, "avc1")), 720, "1", id="unknown sound"),
        pytest.param(variants((None, 9, "mp4a.40.2"), (None, 1, "")), 720, "1", id="sound only"),
        pytest.param(variants((720, 1, "HVC1.2.4 fLaC"), (1080, 1, "")), 720, "0", id="capitals"),
        pytest.param(variants((720, 1, "hev1.2 ec-3 stpp.ttml.im1t wvtt"), (1080, 1, "")), 720, "0", id="subtitles"),
        pytest.param(variants((720, 1, "vp09.00.10.08 opus"), (1080, 1, "")), 720, "0", id="vp9"),
    ],
)
def test_choose_variant_when(playlist: MasterPlaylist, height: int, url: str) -> None:
    """The smallest that is tall enough is taken, or else the tallest, of those that can be decoded."""
    assert url == choose_variant(playlist, height).url


@pytest.mark.parametrize(
    ("playlist", "reason", "words"),
    [
        pytest.param(variants((None, 1, "mp4a.40.2")), Reason.NO_VIDEO, r"sound only \(mp4a.40.2\)", id="sound only"),
        pytest.param(variants((720, 1, "dvh1.05")), Reason.REFUSED, r"decoded \(dvh1.05\)", id="unknown codec"),
        pytest.param(
            variants((720, 1, "dvh1 mp4a"), (None, 1, "mp4a")),
            Reason.REFUSED,
            r"\(dvh1, mp4a\)",
            id="unknown and sound",
        ),
        pytest.param(variants((720, 1, "x" * 500)), Reason.REFUSED, r"\(x{60}\)", id="long"),
    ],
)
def test_choose_variant_when_nothing_is_left(playlist: MasterPlaylist, reason: Reason, words: str) -> None:
    """What codecs there were is said."""
    with pytest.raises(SourceError, match=words) as caught:
        choose_variant(playlist, 720)
    assert reason == caught.value.reason
