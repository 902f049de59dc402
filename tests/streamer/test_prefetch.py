"""What is separated next, as a pure function of the play head, what is there, and what the model takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.prefetch import Job, Outlook, Pressure, job_for, next_job

RATE = 1000
HEARD = Outlook(
    track=0,
    head=5000,
    end=60_000,
    frames=60_000,
    known_to=5000,
    frontier=0,
    primed_at=None,
    sample_rate=RATE,
    moves=True,
    is_prompt=True,
)
FAST, SLOW = Pressure(begin_s=0.1, step_s=0.05), Pressure(begin_s=1.0, step_s=1.0)


def best(heard: Outlook | None = HEARD, **others: object) -> Job | None:
    given = {"ordered": None, "following": None, "unfinished": (), "pressure": FAST, "keeps": False, **others}
    return next_job(heard, **given)  # type: ignore[arg-type]


def test_a_pass_begins_where_the_head_will_be_when_its_first_stems_are_there() -> None:
    assert job_for(HEARD, FAST) == Job("prime", 0, 5150)
    assert job_for(HEARD, SLOW) == Job("prime", 0, 6050)


def test_for_a_head_that_stands_or_a_model_not_yet_measured_it_begins_at_the_head() -> None:
    assert job_for(replace(HEARD, moves=False), SLOW) == Job("prime", 0, 5000)
    assert job_for(HEARD, Pressure()) == Job("prime", 0, 5000)


def test_a_pass_goes_on_until_enough_lies_before_the_head() -> None:
    near, far = (replace(HEARD, known_to=at, primed_at=at) for at in (6000, 7000))
    assert job_for(near, FAST) == Job("go on", 0)
    assert job_for(far, FAST) is None
    assert job_for(far, Pressure(begin_s=2.0, step_s=0.1)) == Job("go on", 0)


def test_a_pass_that_the_head_is_about_to_overtake_is_left() -> None:
    late = replace(HEARD, known_to=5000, primed_at=5500)
    assert job_for(late, Pressure(begin_s=1.0, step_s=0.4)) == Job("go on", 0)
    assert job_for(late, SLOW) == Job("prime", 0, 6050)


def test_the_whole_pass_takes_over_where_it_has_come_to() -> None:
    assert job_for(replace(HEARD, known_to=6000, frontier=6000, primed_at=5800), FAST) == Job("whole", 0)


def test_nothing_is_begun_behind_the_end_of_what_will_be_heard() -> None:
    assert job_for(replace(HEARD, head=59_990, known_to=59_990), SLOW) is None
    assert job_for(replace(HEARD, known_to=5500, end=5500), FAST) is None


def test_what_was_ordered_comes_before_what_is_heard() -> None:
    ordered = replace(HEARD, head=30_000, known_to=30_000, moves=False)
    assert best(ordered=ordered) == Job("prime", 0, 30_000)
    assert best(ordered=replace(ordered, known_to=33_000)) == Job("prime", 0, 5150)


def test_the_next_track_is_cared_for_ten_seconds_before_it_is_heard() -> None:
    following = replace(HEARD, track=1, head=0, known_to=0, moves=False, frontier=0, is_prompt=True)
    at_ease = replace(HEARD, known_to=60_000, frontier=60_000)
    assert best(replace(at_ease, head=49_000), following=following) is None
    assert best(replace(at_ease, head=51_000), following=following) == Job("whole", 1)


def test_the_whole_pass_goes_on_in_time_that_is_left() -> None:
    at_ease = replace(HEARD, known_to=9000, frontier=9000)
    assert best(at_ease) == Job("whole", 0)
    assert best(replace(at_ease, frontier=16_000, known_to=16_000)) is None
    assert best(replace(at_ease, frontier=16_000, known_to=16_000), keeps=True) == Job("whole", 0)


@pytest.mark.parametrize(("keeps", "job"), [(True, Job("whole", 3)), (False, None)])
def test_songs_left_behind_are_finished_only_where_somebody_wants_them(keeps: bool, job: Job | None) -> None:
    left = replace(HEARD, track=3, head=0, frontier=100, known_to=100)
    assert best(None, unfinished=(left,), keeps=keeps) == job


def test_where_no_whole_pass_will_be_none_is_asked_for() -> None:
    assert best(replace(HEARD, known_to=60_000, frontier=-1), keeps=True) is None
