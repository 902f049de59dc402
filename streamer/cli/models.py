"""``stemstream models list``: what ``--model`` takes by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import StemstreamError
from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_result

if TYPE_CHECKING:
    from engine.public_models import PublicModel
    from engine.registry import ModelEntry
    from engine.spec import ModelSpec
    from streamer.latency import LatencyReport

__all__ = ["list_models", "public_facts", "registered_facts", "registered_lines"]

_BLOCK_FRAMES = 512
_OWN = "stemstream"


def list_models(json: Json = False, debug: Debug = False) -> int:
    """List the models that are installed, with what each costs in latency, and the public ones that can be downloaded.

    The latency is the default of a live stream at the model's own rate, in blocks of 512 frames. A model that
    cannot be loaded is listed with its error. A downloaded file is found by its name; `stemstream models verify` reads
    it.
    """
    from engine.public_models import PUBLIC_MODELS
    from engine.registry import available_models

    registered = [registered_facts(model) for model in available_models()]
    public = [public_facts(model) for model in PUBLIC_MODELS]
    if json:
        print_json({"models": [*registered, *public]})
        return 0
    if not registered:
        print_result("no models are registered: install stemstream as a package, or give --model a path")
    for entry in registered:
        for line in registered_lines(entry):
            print_result(line)
    for entry in public:
        for line in _public_lines(entry):
            print_result(line)
    return 0


def registered_facts(model: ModelEntry) -> dict[str, Any]:
    """Load a registered model and say what it is, or why it does not load."""
    from engine.registry import load_separator

    entry: dict[str, Any] = {
        "name": model.name,
        "state": "embedded" if model.distribution == _OWN else "installed",
        "distribution": model.distribution,
        "version": model.version,
    }
    try:
        separator = load_separator(model.name)
        entry |= _facts(separator.spec)
        separator.release()
    except StemstreamError as error:
        entry["error"] = str(error)
    return entry


def public_facts(model: PublicModel) -> dict[str, Any]:
    """Say what is known of a public model, and whether it is on this machine; its file is not read."""
    from engine.model_store import find_model_file, kept_bytes, own_file, wanted_sha256

    path, sha256, config = find_model_file(model), wanted_sha256(model), model.config
    kept = kept_bytes(model)
    if path is not None and sha256 is not None:
        state = "downloaded" if path == own_file(model) else "in AUDIO_SEPARATOR_MODEL_DIR"
    elif kept:
        state = "partly downloaded"
    else:
        missing = [option for option, value in (("--sha256", sha256), ("--url", model.urls)) if not value]
        state = f"needs {' and '.join(missing)}" if missing else "not downloaded"
    residual = [] if config.residual in config.stems else [config.residual]
    return {
        "name": model.name,
        "state": state,
        "path": None if path is None else str(path),
        "kept_bytes": kept,
        "description": model.title,
        "stems": [*config.stems, *residual],
        "sample_rate": config.audio.sample_rate,
        "channels": config.audio.num_channels,
        "window_frames": config.window_frames,
        "overlap": config.inference.num_overlap,
        "size_bytes": model.size_bytes,
        "sha256": sha256,
        "files": list(model.files),
        "urls": list(model.urls),
        "source": model.source,
        "config": model.config_name,
        "config_url": model.config_url,
        "licence": model.licence,
    }


def registered_lines(entry: dict[str, Any]) -> list[str]:
    """Show a registered model."""
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


def _public_lines(entry: dict[str, Any]) -> list[str]:
    size = f", {entry['size_bytes'] / 1e6:.0f} MB" if entry["size_bytes"] else ""
    return [
        f"{entry['name']}  ({entry['state']})",
        f"  {entry['description']}",
        f"  stems    {', '.join(entry['stems'])}",
        f"  audio    {entry['sample_rate']} Hz, {entry['channels']} channels{size}",
    ]


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
