"""Options that several commands share: one meaning, one text."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.errors import ConfigurationError, LatencyError

__all__ = [
    "Backend",
    "BlockFrames",
    "Config",
    "Debug",
    "Device",
    "DeviceLatency",
    "Json",
    "LatencyMs",
    "Model",
    "Pace",
    "PaceOption",
    "Precision",
    "RingBlocks",
    "SampleRate",
    "asked_latency",
    "latency_s",
    "named_latency_error",
]


_MOST_DEVICE_S = 2.0


class Pace(StrEnum):
    """How a recording is played."""

    REALTIME = "realtime"
    FAST = "fast"


def _remember(context: typer.Context, value: bool) -> bool:
    if value and isinstance(context.obj, dict):
        context.obj["debug"] = True
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Debug = Annotated[
    bool, typer.Option("--debug", callback=_remember, is_eager=True, help="Show a traceback where an error ends it.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        help="A name of `stemstream models list`, an .onnx file, or a checkpoint of an MDX23C model.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.yaml", help="What came with the checkpoint; public ones need none."),
]
SampleRate = Annotated[
    int | None, typer.Option("--sample-rate", "-r", metavar="HZ", help="Of the sound device; else its default.")
]
BlockFrames = Annotated[int, typer.Option("--block-frames", "-b", metavar="N", help="Frames that are moved at once.")]
RingBlocks = Annotated[
    int | None,
    typer.Option("--ring-blocks", metavar="N", help="Blocks between capture and return; else 16 ms, 2 at least."),
]
DeviceLatency = Annotated[
    str | None,
    typer.Option("--device-latency", metavar="low|high|S", help="Asked of the driver; a number is in seconds."),
]
Device = Annotated[
    str,
    typer.Option("--device", "-d", metavar="NAME", help="Where the model runs: auto, cpu, cuda, cuda:N, mps, ..."),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="What runs it: auto; torch; eager, as the reference does; compiled, after minutes; onnx.",
    ),
]
Precision = Annotated[
    str,
    typer.Option("--precision", metavar="KIND", help="What it reckons with: auto, fp32, bf16, fp16."),
]
PaceOption = Annotated[
    Pace,
    typer.Option(
        "--pace", help="realtime: blocks come when they are due and never wait for the model. fast: they wait for it."
    ),
]
LatencyMs = Annotated[
    float | None,
    typer.Option(
        "--latency-ms", metavar="MS", help="The latency to have; what the model does not need becomes time for it."
    ),
]


def asked_latency(wish: str) -> Literal["low", "high"] | float:
    """Give what is asked of a driver: its own word for it, or seconds; ConfigurationError for anything else."""
    if wish in ("low", "high"):
        return "low" if wish == "low" else "high"
    try:
        seconds = float(wish)
    except ValueError:
        seconds = -1.0
    if not 0.0 < seconds <= _MOST_DEVICE_S:
        raise ConfigurationError(
            f"--device-latency {wish!r} is not known: use low, high, or seconds up to {_MOST_DEVICE_S:g}"
        )
    return seconds


def latency_s(latency_ms: float | None) -> float | None:
    """Give the latency in seconds, as the processor takes it."""
    return None if latency_ms is None else latency_ms / 1000.0


def named_latency_error(latency_ms: float | None, error: LatencyError) -> LatencyError:
    """Name the option in an error that the processor raised about its own parameter."""
    return error if latency_ms is None else LatencyError(f"--latency-ms {latency_ms:g}: {error}")
