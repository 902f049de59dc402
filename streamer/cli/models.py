"""``stemstream models list``: what ``--model`` takes by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import StemstreamError
from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_result

if TYPE_CHECKING:
    from engine.spec import ModelSpec
    from streamer.latency import LatencyReport

__all__ = ["list_models"]

_BLOCK_FRAMES = 512


def list_models(json: Json = False, debug: Debug = False) -> int:
    """List the models that are installed, and what each costs in latency.

    The latency is the default of a live stream at the model's own rate, in blocks of 512 frames. A model that
    cannot be loaded is listed with its error.
    """
    from engine.registry import available_models, load_separator

    entries: list[dict[str, Any]] = []
    for model in available_models():
        entry: dict[str, Any] = {"name": model.name, "distribution": model.distribution, "version": model.version}
        try:
            separator = load_separator(model.name)
            entry |= _facts(separator.spec)
            separator.release()
        except StemstreamError as error:
            entry["error"] = str(error)
        entries.append(entry)
    if json:
        print_json({"models": entries})
        return 0
    for entry in entries:
        for line in _lines(entry):
            print_result(line)
    if not entries:
        print_result("no models are registered: install stemstream as a package, or give --model a path")
    return 0


def _facts(spec: ModelSpec) -> dict[str, Any]:
    from engine.plan import live_plan

    plan = live_plan(spec)
    return {
        "description": spec.description,
        "stems": list(spec.output_stems),
        "sample_rate": spec.sample_rate,
        "channels": spec.channels,
        "stateful": spec.stateful,
        "window_frames": plan.window_frames,
        "hop_frames": plan.hop_frames,
        "latency": _latency(spec).as_dict(),
    }


def _latency(spec: ModelSpec) -> LatencyReport:
    from engine.plan import live_plan
    from streamer.latency import StreamTiming, plan_latency

    plan = live_plan(spec)
    return plan_latency(
        StreamTiming(plan, spec.sample_rate, spec.sample_rate),
        max_block_frames=_BLOCK_FRAMES,
        fixed_blocks=True,
        realtime=True,
        compute_frames=plan.hop_frames,
        total_frames=None,
    )


def _lines(entry: dict[str, Any]) -> list[str]:
    head = f"{entry['name']}  ({entry['distribution']} {entry['version']})"
    if "error" in entry:
        return [head, f"  error    {entry['error']}"]
    parts = " + ".join(f"{name} {frames}" for name, frames in entry["latency"]["parts_frames"].items() if frames)
    return [
        head,
        *([f"  {entry['description']}"] if entry["description"] else []),
        f"  stems    {', '.join(entry['stems'])}",
        f"  audio    {entry['sample_rate']} Hz, {entry['channels']} channels",
        f"  window   {entry['window_frames']} frames, hop {entry['hop_frames']}"
        f"{', stateful' if entry['stateful'] else ''}",
        f"  latency  {entry['latency']['total_ms']:.1f} ms ({parts})",
    ]
