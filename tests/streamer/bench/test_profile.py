"""A profile counts what a network computes, in whatever pieces its operators come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.bench.tasks.profile import Profile
from tests.engine.mdx23c_models import TINY, save_model


@pytest.mark.parametrize("backend", ["eager", "torch"])
def test_the_operators_compute_what_the_network_needs(backend: str, tmp_path: Path) -> None:
    checkpoint = save_model(tmp_path / "a.ckpt", TINY)
    np.save(tmp_path / "audio.npy", np.random.default_rng(0).uniform(-0.5, 0.5, (2, 44_100)).astype(np.float32))
    model = {
        "checkpoint": str(checkpoint),
        "config": None,
        "device": "cpu",
        "backend": backend,
        "precision": "fp32",
        "threads": 1,
    }
    facts = Profile(model, str(tmp_path / "audio.npy")).run({})
    counted = sum(kind.get("gflop", 0.0) for kind in facts["kinds"].values())
    # Fused convolutions are no operators of PyTorch.
    assert 0.9 < counted / facts["network_gflop"] < 1.1 or backend == "torch"
    assert facts["kinds"]["products of matrices"]["gflop"] > 0.0
