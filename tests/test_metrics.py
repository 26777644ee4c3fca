"""Metrics as text: every sample is there, old values are gone on from, and what isn't ours is refused."""

from collections import Counter

import pytest
from fakes import make_plan
from hypothesis import given
from hypothesis import strategies as st

from clipcut.errors import Reason
from clipcut.metrics import BUCKETS_MS, COUNTED, FAMILIES, added, counts_of, metrics_text, read_metrics
from clipcut.plan import Method
from clipcut.results import Attempt, ClipResult, Fetched, Outcome, Status

EDIT = make_plan("v").edits[0]


def ended(status: Status, duration_ms: int = 0, *reasons: Reason, slot: int | None = 0) -> ClipResult:
    """Make a clip that ended so, after rungs that failed for these reasons."""
    failed = [Attempt(method=Method.LOCAL, outcome=Outcome.FAILED, reason=reason) for reason in reasons]
    return ClipResult(edit=EDIT, status=status, attempts=tuple(failed), parallel_slot=slot, duration_ms=duration_ms)


def test_each_clip_counts_once_by_status_and_each_failed_rung_by_reason() -> None:
    """A placeholder after two failed rungs is one clip, one placeholder, two failures."""
    clips = [ended(Status.SUCCESS), ended(Status.FALLBACK_PLACEHOLDER, 0, Reason.TIMEOUT, Reason.MISSING_FILE)]

    counts = counts_of(clips, Fetched(requests=9, retries=2, size=77))

    assert {"success": 1, "fallback-placeholder": 1} == {
        value: count for (name, value), count in counts.items() if name == "render_clip_total"
    }
    assert {"timeout": 1, "missing_file": 1} == {
        value: count for (name, value), count in counts.items() if name == "render_clip_failures_total"
    }
    assert (1, 2, 77) == tuple(
        counts[f"render_clip_{name}_total", ""] for name in ("placeholder", "retries", "fetched_bytes")
    )


def test_a_rung_that_was_skipped_or_cancelled_is_no_failure() -> None:
    """Known to be gone, it was not even asked."""
    skipped = Attempt(method=Method.REMOTE, outcome=Outcome.SKIPPED, reason=Reason.HTTP_404)
    clip = ClipResult(edit=EDIT, status=Status.CANCELLED, attempts=(skipped,), parallel_slot=0)

    assert [] == [key for key in counts_of([clip], Fetched()) if key[0] == "render_clip_failures_total"]


def test_durations_fall_into_buckets_that_add_up() -> None:
    """The edge belongs to its bucket; a clip that never came to work has no duration."""
    clips = [ended(Status.SUCCESS, ms) for ms in (100, 101, 45000, 999999)] + [ended(Status.CANCELLED, 5, slot=None)]

    counts = counts_of(clips, Fetched())

    buckets = {edge: counts["render_clip_duration_ms_bucket", f"{edge}.0"] for edge in BUCKETS_MS}
    assert {100: 1, 250: 2, 20000: 2, 45000: 3, 120000: 3} == {
        edge: buckets[edge] for edge in (100, 250, 20000, 45000, 120000)
    }
    assert (4, 4, 100 + 101 + 45000 + 999999) == (
        counts["render_clip_duration_ms_bucket", "+Inf"],
        counts["render_clip_duration_ms_count", ""],
        counts["render_clip_duration_ms_sum", ""],
    )


def test_every_counter_is_there_from_the_first_file_on() -> None:
    """With 0: what appears late can't be seen to grow."""
    text = metrics_text(added({}, {}, {"render_clip_inflight": 0}), "mix").decode()

    for status in Status:
        assert f'render_clip_total{{status="{status}",timeline="mix"}} 0.0' in text
    for reason in Reason:
        assert f'render_clip_failures_total{{reason="{reason}",timeline="mix"}} 0.0' in text
    assert "_created" not in text
    assert 'timeline="mix"' in text
    assert [] == [line for line in text.splitlines() if not line.startswith("#") and 'timeline="mix"' not in line]


def test_a_success_is_kept_until_the_next_one() -> None:
    """What the new run doesn't say stays as it was; what it says replaces it."""
    base = {("render_last_success_timestamp_seconds", ""): 7.0, ("render_last_exit_code", ""): 0.0}

    values = added(base, {}, {"render_last_exit_code": 1})

    assert (7.0, 1) == (values["render_last_success_timestamp_seconds", ""], values["render_last_exit_code", ""])


@given(
    base=st.dictionaries(st.sampled_from(sorted(COUNTED)), st.integers(0, 2**40)),
    clips=st.lists(st.builds(ended, st.sampled_from(Status), st.integers(0, 10**6), st.sampled_from(Reason))),
    timeline=st.text(max_size=20).filter(lambda text: text.encode("utf-8", "ignore").decode() == text),
)
def test_what_is_written_is_read_back_and_added_to(
    base: dict[tuple[str, str], float], clips: list[ClipResult], timeline: str
) -> None:
    """Run after run: every counter is the sum, whatever the timeline is called."""
    counts = counts_of(clips, Fetched(1, 2, 3))
    base = {key: value for key, value in base.items() if not key[0].startswith("render_clip_duration_ms")}
    first = added(base, counts, {"render_last_exit_code": 3})

    older = read_metrics(metrics_text(first, timeline).decode(), timeline)

    assert first == older.values
    assert frozenset() == older.others
    twice = added(older.values, counts, {})
    assert {key: base.get(key, 0) + 2 * counts[key] for key in COUNTED} == {key: twice[key] for key in COUNTED}


def test_another_jobs_values_are_told_and_not_taken() -> None:
    """Two jobs with one file is a mistake that somebody should hear of."""
    text = metrics_text(added({}, Counter({("render_clip_total", "success"): 5}), {}), "a").decode()

    older = read_metrics(text, "b")

    assert ({}, ["a"]) == (older.values, list(older.others))


GOOD = metrics_text(added({}, counts_of([ended(Status.SUCCESS, 300)], Fetched()), {}), "mix").decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hello world\n", id="no-metrics"),
        pytest.param(GOOD.replace('"mix"', "mix"), id="no-quotes"),
        pytest.param(GOOD + 'render_clip_inflight{timeline="mix"} NaN\n', id="no-number"),
        pytest.param(GOOD + 'render_clip_inflight{timeline="mix"} -1\n', id="negative"),
        pytest.param(GOOD + 'render_clip_inflight{timeline="mix"} +Inf\n', id="infinite"),
        pytest.param(GOOD + 'render_clip_placeholder_total{timeline="mix"} 1\n', id="twice"),
        pytest.param(GOOD.replace('le="+Inf",timeline="mix"} 1.0', 'le="+Inf",timeline="mix"} 0.0'), id="buckets"),
        pytest.param(GOOD.replace("render_clip_duration_ms_count", "x"), id="count"),
    ],
)
def test_a_file_that_can_not_be_one_of_ours_is_refused(text: str) -> None:
    """Better from 0 with a warning than on from nonsense."""
    assert read_metrics(GOOD, "mix").values
    with pytest.raises(ValueError, match=r"."):
        read_metrics(text, "mix")


def test_unknown_metrics_are_left_away() -> None:
    """A later version's, or what somebody added by hand."""
    assert {} == read_metrics('render_new_total{timeline="mix"} 3\nnode_load1 0.5\n', "mix").values


@given(st.text(max_size=200))
def test_garbage_never_ends_in_anything_but_a_refusal(text: str) -> None:
    """Whatever stands in the file."""
    try:
        read_metrics(text, "mix")
    except ValueError:
        return


def test_every_family_has_a_help_text_and_a_name_of_its_own() -> None:
    """Help texts are constant: two files that differ in one lose series."""
    assert len(FAMILIES) == len({family.name for family in FAMILIES})
    assert [] == [family.name for family in FAMILIES if not family.help.endswith(".")]
