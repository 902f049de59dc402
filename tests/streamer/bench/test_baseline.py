"""The plain way gives what the reference gives, so that what is compared with it is compared with something right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import UnavailableError
from streamer.bench import baseline
from tests.engine.mdx23c_models import GOLDEN_NAMES, STRIDE, TINY, WINDOW, Golden, config_data, save_model

GOLDENS_OWN_ROUNDING = 2.5e-5
"""What the golden outputs are off what double precision gives, at most."""
RANDOM_WEIGHTS_AMPLIFY = 5e-4
"""What another processor's order of additions comes to in float32; the golden stems' peaks are about 0.1."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[(torch.float64, GOLDENS_OWN_ROUNDING), (torch.float32, RANDOM_WEIGHTS_AMPLIFY)], ids=str)
def tolerance(request: pytest.FixtureRequest) -> Iterator[float]:
    """In double precision, where no processor's order of additions shows, and as it is used."""
    dtype, allowed = request.param
    torch.set_default_dtype(dtype)
    yield allowed
    torch.set_default_dtype(torch.float32)


def golden_model(golden: Golden) -> baseline.Baseline:
    return baseline.Baseline(golden.checkpoint, golden.config)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_window_comes_out_as_from_the_reference(name: str, tolerance: float):
    golden = Golden(name)
    window, expected = golden.chunk
    with torch.inference_mode():
        stems = golden_model(golden)(torch.tensor(window, dtype=torch.get_default_dtype())).numpy()
    assert stems.shape == (len(expected), *window.shape)
    np.testing.assert_allclose(stems[..., ::STRIDE], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_a_track_comes_out_as_from_the_reference(name: str, tolerance: float):
    golden = Golden(name)
    model = golden_model(golden)
    assert golden.tracks
    for overlap, track, expected in golden.tracks:
        stems = baseline.demix(model, track, overlap)
        assert list(stems) == list(model.config.stems)
        np.testing.assert_allclose(np.stack(list(stems.values()))[..., ::STRIDE], expected, rtol=0, atol=tolerance)


def test_it_runs_one_window_at_a_time_in_float32(tmp_path: Path):
    checkpoint = save_model(tmp_path / "a.ckpt")
    model = baseline.Baseline(checkpoint, checkpoint.with_suffix(".yaml"))
    seen = []
    model.network.register_forward_pre_hook(lambda _, given: seen.append((given[0].shape, given[0].dtype)))
    stems = baseline.demix(model, np.ones((2, 10 * WINDOW), np.float32), 2)
    assert set(seen) == {((1, 2, WINDOW), torch.float32)}
    # Beside the track's own there is one that begins in the border at its end and adds nothing that is kept.
    assert len(seen) == model.windows == 2 * 10 + 2
    assert all(stem.dtype == np.float32 for stem in stems.values())


def test_the_flaw_of_the_reference_is_kept(tmp_path: Path):
    checkpoint = save_model(tmp_path / "a.ckpt")
    model = baseline.Baseline(checkpoint, checkpoint.with_suffix(".yaml"))
    noise = np.random.default_rng(0).normal(0.0, 0.1, (2, 3 * WINDOW)).astype(np.float32)
    lost = np.flatnonzero(~baseline.demix(model, noise, 1)["vocals"].any(axis=0))
    assert lost.tolist() == [WINDOW - 1, WINDOW, 2 * WINDOW - 1, 2 * WINDOW]


def test_other_norms_are_refused(tmp_path: Path):
    checkpoint = save_model(tmp_path / "a.ckpt", config=config_data(TINY, model={"norm": "GroupNorm2"}))
    with pytest.raises(UnavailableError, match="InstanceNorm and gelu, and this one has GroupNorm2 and gelu"):
        baseline.Baseline(checkpoint, checkpoint.with_suffix(".yaml"))
