"""Make what rows need: a model or random weights, music, and an export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from engine.errors import ModelError
from engine.machine import usable_cores
from engine.model_file import check_model_file
from streamer.bench.music import composed, music_in
from streamer.bench.plan import FULL_SIZE, QUICK, Plan, Size
from streamer.bench.process import RowFailure, Start

__all__ = ["add_export", "prepare"]

_COMPOSED_S = 30.0


def prepare(
    folder: Path,
    size: Size,
    model: str | None,
    config: Path | None,
    device: str,
    threads: int | None,
    audio: Path | None,
    tell: Callable[[str], None],
) -> Plan:
    """Put all files of a run into ``folder``; give the plan of its rows.

    Parameters
    ----------
    folder : Path
    size : Size
    model, config, device, threads, audio, tell
        See `streamer.bench.run.run_bench`, with its errors.
    """
    from engine.registry import CHECKPOINT, find_model, require_torch

    checkpoint: Path | None = None
    if model is not None:
        place = find_model(model, config)
        if place.kind != CHECKPOINT or place.path is None:
            raise ModelError(f"model {model!r} has no baseline to be held against: give an MDX23C checkpoint, or none")
        check_model_file(place.path, f"checkpoint {model!r}", kind="checkpoint", remedy="download it again")
        checkpoint, config = place.path, None if place.config is None else Path(place.config)
    require_torch(checkpoint or Path("a random network"))
    from engine.backends.torch_devices import check_device, fast_precisions, torch_devices
    from engine.models.mdx23c_checkpoint import find_config

    device = torch_devices()[0] if device == "auto" else check_device(device)
    if checkpoint is None:
        checkpoint, config = _random(folder, size, tell)
    settings, _, _ = find_config(checkpoint, config)
    if config is None:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    rate, channels = settings.audio.sample_rate, settings.audio.num_channels
    seconds = max(_COMPOSED_S, 2 * settings.window_frames / rate)
    heard, truth = composed(seconds, rate, channels) if audio is None else music_in(audio, rate, channels)
    np.save(folder / "audio.npy", heard)
    places = {}
    for number, (name, stem) in enumerate(truth.items()):
        places[name] = str(folder / f"truth-{number}.npy")
        np.save(places[name], stem)
    known = {
        "checkpoint": str(checkpoint),
        "config": str(config),
        "device": device,
        "backend": "torch",
        "precision": "fp32",
        "threads": threads,
        "onnx": None,
    }
    return Plan(
        size=size,
        model=known,
        audio=str(folder / "audio.npy"),
        folder=str(folder),
        window_frames=settings.window_frames,
        sample_rate=rate,
        channels=channels,
        stems=tuple(settings.stems),
        truth=places,
        is_random=model is None,
        precisions=fast_precisions(device),
        cores=usable_cores(),
    )


def add_export(plan: Plan, start: Start, tell: Callable[[str], None]) -> Plan:
    """Export the model where the rows of ONNX Runtime find it; where that fails, they tell why."""
    path = f"{plan.folder}/model.onnx"
    task = {"kind": "export", "checkpoint": plan.model["checkpoint"], "config": plan.model["config"], "path": path}
    tell("exporting to ONNX")
    try:
        start(task).close()
    except RowFailure as failure:
        tell(f"the export failed: {failure}")
    return replace(plan, model={**plan.model, "onnx": path})


def _random(folder: Path, size: Size, tell: Callable[[str], None]) -> tuple[Path, Path]:
    from streamer.bench.random_network import (
        FULL,
        LIGHT,
        LIGHT_WINDOW_FRAMES,
        MATRIX,
        MATRIX_WINDOW_FRAMES,
        WINDOW_FRAMES,
        parameter_count,
        save_random,
    )

    architecture, window = {
        FULL_SIZE: (FULL, WINDOW_FRAMES),
        QUICK: (LIGHT, LIGHT_WINDOW_FRAMES),
    }.get(size, (MATRIX, MATRIX_WINDOW_FRAMES))
    tell(f"making a network of {parameter_count(architecture) / 1e6:.1f} million random weights")
    return save_random(architecture, folder, window)
