"""Which tests run every day, and which are left to ``nox -s everything``.

The everyday tests are all that start no FFmpeg, and enough real renders to see that clipcut runs on this Python with
these packages: each kind of source, each rung, each way to make a clip. The lists were made from the time that tests
take. They name modules, functions, or single cases of them; ``test_docs`` sees to it that what they name is there.
"""

RENDERS = frozenset(
    {
        "test_golden.py::test_frames_and_clicks_are_right_at_the_source_rate",
        "test_golden.py::test_a_missing_source_leaves_every_other_frame_in_its_place",
        "test_golden.py::test_fixtures_render",
        "test_golden.py::test_frame_times_are_even_in_every_container",
        "test_sources.py::test_every_kind_of_source_is_cut_exactly[packaged-hevc-10-bit]",
        "test_sources.py::test_every_kind_of_source_is_cut_exactly[packaged-interlaced-mpeg2-ts]",
        "test_sources.py::test_every_kind_of_source_is_cut_exactly[packaged-vp9-opus-webm]",
        "test_sources.py::test_variable_rate_with_gaps_shows_what_is_on_display[packaged-.mkv]",
        "test_hls_render.py::test_each_packaging_is_cut_exactly[packaged-transport stream]",
        "test_hls_render.py::test_each_packaging_is_cut_exactly[packaged-fragmented MP4]",
        "test_hls_render.py::test_encrypted_segments_are_cut_exactly[packaged-m4s-rotating]",
        "test_hls_render.py::test_a_discontinuity_is_cut_in_parts_that_are_exact",
        "test_file_render.py::test_each_form_is_cut_exactly[packaged-moov at the end]",
        "test_file_render.py::test_each_form_is_cut_exactly[packaged-Matroska]",
        "test_file_render.py::test_a_range_that_breaks_off_is_asked_for_again",
        "test_cut.py::test_a_broken_source_falls_back_to_its_local_copies_in_order",
        "test_cut.py::test_a_source_zeroed_in_the_middle_is_caught",
        "test_fill.py::test_placeholders_and_clips_join_whatever_the_preset[packaged-veryfast]",
        "test_smart.py::test_copies_are_exact_at_and_off_keyframes",
        "test_smart.py::test_a_damaged_source_is_not_copied",
        "test_sound.py::test_a_soundtrack_is_exact_to_the_sample",
        "test_sound.py::test_a_soundtrack_is_heard_where_it_must[packaged-replace]",
        "test_sound.py::test_a_soundtrack_is_heard_where_it_must[packaged-mix]",
        "test_cache.py::test_a_damaged_entry_is_made_again",
        "test_cache.py::test_of_a_playlist_little_more_than_the_playlist_is_fetched_again",
        "test_cache.py::test_what_was_finished_is_not_made_again_and_an_edit_makes_only_what_changed",
        "test_deadline.py::test_what_comes_in_time_is_right_and_the_rest_are_placeholders",
        "test_readers.py::test_a_source_that_crashes_its_reader_fails_alone",
        "test_reload_render.py::test_a_hangup_reloads_where_there_is_a_settings_file",
        "test_locks.py::test_of_two_renders_of_one_output_the_second_leaves_and_touches_nothing",
        "test_signals.py::test_two_signals_end_a_render_without_a_trace",
        "test_progress.py::test_a_render_on_a_terminal_shows_the_display_and_then_the_summary",
        "test_twelvelabs.py::test_each_video_is_asked_for_once_when_it_has_many_clips",
        "test_textfile.py::test_a_finished_run_says_how_it_went",
        "test_cli.py::test_doctor_renders_a_little",
        "test_cli.py::test_the_report_has_every_fact_that_it_promises",
        "test_cli.py::test_a_signal_ends_a_render_cleanly",
        "test_documents.py::test_no_variable_has_to_be_set",
        "test_verify.py::test_verify_when_nothing_happened",
        "test_verify.py::test_verify_when_two_clips_change_places",
        "test_mux.py",
        "test_index.py",
        "test_layout.py",
        "test_media.py",
    }
)

"""Of those marked ``media``, the ones that run every day."""

LONG = frozenset({"test_observability.py::test_the_rules_fire_when_they_should_and_only_then"})
"""Of all others, the ones that don't."""


def takes_long(name: str, *, media: bool) -> bool:
    """Tell whether a test is left to ``nox -s everything``.

    Args:
        name: The test as pytest names it, without folders: ``test_cut.py::test_flipped_bits_are_caught[packaged]``.
        media: Whether it runs a real FFmpeg.
    """
    names = {name, name.partition("[")[0], name.partition("::")[0]}
    return not names & RENDERS if media else bool(names & LONG)
