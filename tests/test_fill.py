"""Placeholders cut from a longer one: the same picture and sound as if each had been encoded by itself."""

from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
import trio
from fakes import make_plan
from golden import render, timeline
from media import make_source, read_frames

from clipcut.ffmpeg.argv import Targets, placeholder_argv
from clipcut.ffmpeg.mux import count_frames, is_in_order
from clipcut.ffmpeg.probe import MediaInfo, probe
from clipcut.fill import Fills
from clipcut.plan import Edit
from clipcut.results import CutFile
from clipcut.timeline import Output, VideoProfile

pytestmark = pytest.mark.media

OUTPUT = Output(width=320, height=180, video=VideoProfile(preset="ultrafast"))


class Encoder:
    """Encodes as the cutter does, and counts."""

    def __init__(self, ffmpeg: str, folder: Path, output: Output = OUTPUT) -> None:
        """Use this program and folder."""
        self.calls: list[tuple[int, bool]] = []
        self._ffmpeg, self._folder, self._output = ffmpeg, folder, output

    async def encode(self, edit: Edit, asset: MediaInfo | None, in_order: bool) -> CutFile:
        """Fill a slot."""
        self.calls.append((edit.slot.frames, in_order))
        video, sound = (self._folder / f"{edit.stem}-{len(self.calls)}.{suffix}" for suffix in ("mov", "pcm"))
        targets = Targets(video=video, sound=sound, threads=1)
        argv = placeholder_argv(self._ffmpeg, edit, asset, self._output, targets, in_order=in_order)
        await trio.run_process(argv, capture_stdout=True, capture_stderr=True)
        return CutFile(video, sound if sound.exists() else None, edit.slot.frames, edit.slot.samples)


def edit_of(frames: int, index: int = 0) -> Edit:
    """Make an edit with a slot of so many frames at 30/s."""
    edit = make_plan("v").edits[0]
    slot = attrs.evolve(edit.slot, frames=frames, samples=frames * 1600)
    return attrs.evolve(edit, index=index, slot=slot)


@pytest.mark.parametrize("gain", [0, -6])
async def test_a_cut_placeholder_is_what_an_encoded_one_would_be(tmp_path: Path, ffmpeg: str, gain: int) -> None:
    """Sample by sample, and frame by frame; longer than the asset, which loops."""
    asset_path = make_source(tmp_path / "asset.mp4", ffmpeg=ffmpeg, source_id=3, seconds=2, width=320, height=180)
    asset, encoder = probe(asset_path), Encoder(ffmpeg, tmp_path)
    fills = Fills(OUTPUT, tmp_path, trio.CapacityLimiter(2), encoder.encode)
    edit = edit_of(73)
    edit = attrs.evolve(edit, clip=attrs.evolve(edit.clip, gain_db=Fraction(gain)))

    cut = await fills.fill(edit, asset)
    wanted = await encoder.encode(edit, asset, False)

    assert [(90, True), (73, False)] == encoder.calls
    assert 73 == count_frames(cut.video, OUTPUT.fps)
    assert read_frames(wanted.video, ffmpeg=ffmpeg) == read_frames(cut.video, ffmpeg=ffmpeg)
    assert cut.sound is not None
    assert wanted.sound is not None
    ours, theirs = (np.fromfile(path, "<f4") for path in (cut.sound, wanted.sound))
    assert 73 * 1600 * 2 == len(ours) == len(theirs)
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.abs(theirs).max() > 0.05


async def test_slots_of_many_lengths_need_few_encoders(tmp_path: Path, packaged: str) -> None:
    """A longer one is made at least twice as long as the one before; silent ones have no sound."""
    encoder = Encoder(packaged, tmp_path)
    fills = Fills(OUTPUT, tmp_path, trio.CapacityLimiter(2), encoder.encode)
    lengths = [5, 80, 91, 3, 150, 179, 400]
    async with trio.open_nursery() as nursery:
        for index, frames in enumerate(lengths):
            nursery.start_soon(fills.fill, edit_of(frames, index), None)
    cuts = [await fills.fill(edit_of(frames, index), None) for index, frames in enumerate(lengths)]

    assert lengths == [count_frames(cut.video, OUTPUT.fps) for cut in cuts]
    assert {None} == {cut.sound for cut in cuts}
    assert len(encoder.calls) <= 3
    assert {True} == {in_order for _, in_order in encoder.calls}


async def test_a_picture_that_is_not_in_order_is_not_cut(
    tmp_path: Path, packaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should an encoder not do as it was asked, each slot has its own."""
    monkeypatch.setattr("clipcut.fill.is_in_order", lambda _: False)
    encoder = Encoder(packaged, tmp_path)
    fills = Fills(OUTPUT, tmp_path, trio.CapacityLimiter(2), encoder.encode)
    for frames in (20, 30):
        assert frames == count_frames((await fills.fill(edit_of(frames), None)).video, OUTPUT.fps)

    assert [(90, True), (20, False), (30, False)] == encoder.calls


async def test_order_is_told_by_the_frames_themselves(tmp_path: Path, packaged: str) -> None:
    """With a preset that reorders, what is asked for in order is, and what isn't is not."""
    asset_path = make_source(tmp_path / "asset.mp4", ffmpeg=packaged, source_id=3, seconds=2, width=320, height=180)
    output = attrs.evolve(OUTPUT, video=VideoProfile(preset="medium"))
    encoder, asset = Encoder(packaged, tmp_path, output), probe(asset_path)
    cuts = [await encoder.encode(edit_of(60), asset, in_order) for in_order in (True, False)]

    assert [True, False] == [is_in_order(cut.video) for cut in cuts]


@pytest.mark.parametrize("preset", ["superfast", "veryfast", "medium", "slower"])
def test_placeholders_and_clips_join_whatever_the_preset(tmp_path: Path, ffmpeg: str, preset: str) -> None:
    """They have the same parameter sets, and every frame is in its place."""
    source = make_source(tmp_path / "v.mp4", ffmpeg=ffmpeg, source_id=1, seconds=2)
    mine = make_source(tmp_path / "mine.mp4", ffmpeg=ffmpeg, source_id=7, seconds=2, width=320, height=180)
    clips = [{"video_id": name, "start": 0, "duration": 0.5} for name in ("v", "gone", "v", "gone")]
    document = timeline(clips, {"v": str(source), "gone": "gone.mp4"}, video={"preset": preset})
    rendered = render(tmp_path, document, "--placeholder", str(mine), ffmpeg=ffmpeg)

    codes = read_frames(rendered.output, ffmpeg=ffmpeg)
    shown = [(code.source_id, code.frame) if code is not None else None for code in codes]
    assert 3 == rendered.exit_code
    assert [(source_id, n) for source_id in (1, 7, 1, 7) for n in range(15)] == shown
