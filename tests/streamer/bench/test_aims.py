"""Aims are said with what was reached, met or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer.bench.aims import aims, aims_markdown
from streamer.bench.figures import Measured
from streamer.bench.plan import FULL_SIZE, MATRIX_SIZE, Plan
from streamer.bench.tables import memory, parallel
from tests.streamer.bench.plans import SIZE, measured_as, plan_of


def said(plan: Plan, *measured: Measured) -> list[str]:
    return [str(each) for each in aims(plan, {each.row.key: each for each in measured})]


@pytest.mark.parametrize(
    ("size", "ratio", "line"),
    [
        (MATRIX_SIZE, 1.3, "1.30 (aim: at least 1.3): met"),
        (MATRIX_SIZE, 1.29, "1.29 (aim: at least 1.3): NOT met"),
        (FULL_SIZE, 1.5, "1.50 (aim: at least 1.3): met"),
    ],
)
def test_fp32_is_held_against_the_baseline(size: object, ratio: float, line: str) -> None:
    plan = plan_of(size)  # type: ignore[arg-type]
    assert said(plan, measured_as(plan.alone("fp32", 1), ratio)) == [f"fp32, times as fast as the baseline: {line}"]


def test_bf16_must_gain_more_on_a_large_network_and_keep_its_quality(tmp_path: Path) -> None:
    exact = np.random.default_rng(0).standard_normal((1, 2, 2, 100)).astype(np.float32)
    np.save(tmp_path / "kept-fp32.npy", exact)
    np.save(tmp_path / "kept-bf16.npy", 1.001 * exact)
    for size, bound in ((SIZE, 1.5), (FULL_SIZE, 2.3)):
        plan = plan_of(size, folder=str(tmp_path))
        speed, quality = said(plan, measured_as(plan.alone("bf16", 1), 2.0))
        assert speed.endswith(f"2.00 (aim: at least {bound:g}): {'met' if bound < 2 else 'NOT met'}")
        assert quality == "bf16, dB above its difference from fp32: 60.00 (aim: at least 40): met"


def test_a_quality_that_nobody_knows_is_not_met() -> None:
    plan = plan_of()
    assert said(plan, measured_as(plan.alone("bf16", 1), 2.0))[1].endswith("not measured (aim: at least 40): NOT met")


@pytest.mark.parametrize(("after", "verdict"), [(500.0, "0.50"), (510.0, "0.51")])
def test_memory_must_be_half_at_most(after: float, verdict: str) -> None:
    plan = plan_of(replace(SIZE, memory_s=600.0))
    before, _, fused, _ = memory.rows(plan)
    measured = [measured_as(before, 1.0, peak_mb=1000.0), measured_as(fused, 1.0, peak_mb=after)]
    (line,) = said(plan, *measured)
    assert line == (
        f"memory at 600 s, of the baseline's: {verdict} (aim: at most 0.5): {'met' if after <= 500 else 'NOT met'}"
    )


def test_on_a_gpu_the_peak_is_what_counts_alone_and_with_files() -> None:
    plan = plan_of(FULL_SIZE, device="cuda:0", precisions=("fp32", "fp16", "bf16"))
    peaks = Measured(plan.peaks, [{"bf16_gflops": 1000.0}])
    profile = Measured(plan.profile("torch", "fp32"), [{}], ready={"network_gflop": 50.0})
    alone = Measured(plan.alone("bf16", 1), [{"cost": 0.1}], [{"cost": 0.5}])
    files = Measured(parallel.fastest_file_rows(plan)[-1], [{"cost": 0.5}], [{"cost": 2.0}])
    lines = said(plan, peaks, profile, alone, files)
    assert "bf16, times as fast as the baseline: 5.00 (aim: at least 3): met" in lines
    assert "the network alone in bf16, of the measured peak: 0.50 (aim: at least 0.35): met" in lines
    # Twice the windows a second of audio, at overlap 2.
    assert "from file to files in bf16, of the measured peak: 0.20 (aim: at least 0.25): NOT met" in lines


def test_what_was_not_measured_is_no_aim() -> None:
    plan = plan_of()
    ruled_out = Measured(plan.alone("fp32", 1), fault="no")
    assert said(plan, ruled_out) == []


def test_unmet_ones_point_to_the_profiles() -> None:
    plan = plan_of()
    row = plan.alone("fp32", 1)
    for ratio, points in ((2.0, False), (1.0, True)):
        text = aims_markdown(aims(plan, {row.key: measured_as(row, ratio)}))
        assert ("profiles below" in text) is points
