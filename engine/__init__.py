"""Inference: what a model is, how audio is cut into windows and put together again, on one thread. No devices."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.compute import Compute
    from engine.compute_choice import Choice, load_fastest
    from engine.errors import StemstreamError
    from engine.excerpt import Excerpt
    from engine.export import ExportReport, export_onnx
    from engine.file_batch import separate_files
    from engine.file_separation import FileReport, separate_file
    from engine.offline import Progress, separate, separate_blocks
    from engine.offline_model import OfflineModel
    from engine.plan import WindowPlan, live_plan, offline_plan
    from engine.registry import available_models, load_separator
    from engine.separator import Separator
    from engine.spec import ModelSpec, StateSpec
    from engine.worker import Worker

__all__ = [
    "Choice",
    "Compute",
    "Excerpt",
    "ExportReport",
    "FileReport",
    "ModelSpec",
    "OfflineModel",
    "Progress",
    "Separator",
    "StateSpec",
    "StemstreamError",
    "WindowPlan",
    "Worker",
    "available_models",
    "export_onnx",
    "live_plan",
    "load_fastest",
    "load_separator",
    "offline_plan",
    "separate",
    "separate_blocks",
    "separate_file",
    "separate_files",
]

_HOMES = {
    "Choice": "engine.compute_choice",
    "Compute": "engine.compute",
    "load_fastest": "engine.compute_choice",
    "Excerpt": "engine.excerpt",
    "ExportReport": "engine.export",
    "FileReport": "engine.file_separation",
    "ModelSpec": "engine.spec",
    "OfflineModel": "engine.offline_model",
    "Progress": "engine.offline",
    "Separator": "engine.separator",
    "StateSpec": "engine.spec",
    "StemstreamError": "engine.errors",
    "WindowPlan": "engine.plan",
    "Worker": "engine.worker",
    "available_models": "engine.registry",
    "export_onnx": "engine.export",
    "live_plan": "engine.plan",
    "load_separator": "engine.registry",
    "offline_plan": "engine.plan",
    "separate": "engine.offline",
    "separate_blocks": "engine.offline",
    "separate_file": "engine.file_separation",
    "separate_files": "engine.file_batch",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for, so that ``stemstream --help`` need not load numpy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
