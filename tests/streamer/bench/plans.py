"""Plans for tests, without files."""

from __future__ import annotations

from typing import Any

from streamer.bench.figures import Measured, Row
from streamer.bench.plan import Plan, Size

SIZE = Size("test", 2, 1, (1, 2), (2, 4), 2, 1, (0.02,), 1, 0.02, 30.0, compiles=False)


def plan_of(size: Size = SIZE, *, device: str = "cpu", **changes: Any) -> Plan:
    model = {
        "checkpoint": "c",
        "config": "y",
        "device": device,
        "backend": "torch",
        "precision": "fp32",
        "threads": None,
        "onnx": None,
    }
    facts: dict[str, Any] = {
        "size": size,
        "model": model,
        "audio": "a.npy",
        "folder": "/nowhere",
        "window_frames": 44_100,
        "sample_rate": 44_100,
        "channels": 2,
        "stems": ("vocals", "other"),
        "truth": {},
        "is_random": True,
        "precisions": ("fp32", "bf16"),
        "cores": 2,
    }
    return Plan(**{**facts, **changes})


def measured_as(row: Row, *ratios: float, fault: str = "", **figures: float) -> Measured:
    """A row that came out so many times as fast as the baseline, pair by pair."""
    runs = [{"cost": 1 / ratio, **figures} for ratio in ratios]
    return Measured(row, list(runs), [{"cost": 1.0} for _ in ratios], fault=fault)
