"""What is recommended: the least overlap that loses nothing that can be heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.bench.tables import overlaps
from tests.streamer.bench.plans import measured_as, plan_of

RNG = np.random.default_rng(0)
TRUE = RNG.standard_normal((2, 2, 1000)).astype(np.float32)


def notes(tmp_path: Path, errors: dict[int, float], *, has_truth: bool) -> tuple[str, ...]:
    """What stands below the table where the stems of each overlap are so far from the truth."""
    places = {}
    for n, name in enumerate(("vocals", "other")):
        places[name] = str(tmp_path / f"{name}.npy")
        np.save(places[name], TRUE[n])
    for overlap, error in errors.items():
        noise = error * np.random.default_rng(overlap).standard_normal(TRUE.shape)
        np.save(tmp_path / f"kept-overlap-{overlap}.npy", (TRUE + noise).astype(np.float32))
    plan = plan_of(folder=str(tmp_path), truth=places if has_truth else {}, is_random=False)
    measured = {row.key: measured_as(row, 1.0) for row in overlaps.rows(plan)}
    return overlaps.table(plan, measured).notes


@pytest.mark.parametrize(("errors", "best"), [({2: 0.1, 4: 0.1}, 2), ({2: 0.3, 4: 0.1}, 4)])
def test_with_truth_the_least_within_a_tenth_of_a_decibel_of_the_best(
    tmp_path: Path, errors: dict[int, float], best: int
) -> None:
    assert notes(tmp_path, errors, has_truth=True) == (f"Recommended: {best}, the fastest within 0.1 dB of the best",)


def test_without_truth_the_least_that_is_like_the_most(tmp_path: Path) -> None:
    alike, unlike = (notes(tmp_path, {2: error, 4: 0.0}, has_truth=False)[-1] for error in (0.01, 0.5))
    assert alike.startswith("Recommended: 2, the fastest whose stems are 20 dB above their difference from overlap 4")
    assert unlike == "Recommended: 4, no other comes within 20 dB of it"


def test_random_weights_recommend_none() -> None:
    plan = plan_of()
    assert plan.is_random
    measured = {row.key: measured_as(row, 1.0) for row in overlaps.rows(plan)}
    (note,) = overlaps.table(plan, measured).notes
    assert note.startswith("The weights are random")
