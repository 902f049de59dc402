"""From the options of ``stemstream live`` to a model, its operating point and a mixer's settings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import ConfigurationError, LatencyError, StemstreamError
from engine.machine import usable_cores
from streamer.cli.compute import ComputeWish, load_chosen

if TYPE_CHECKING:
    from engine.separator import Separator
    from streamer.mixer import Mixer
    from streamer.processor import StemProcessor

__all__ = [
    "OPERATING_POINTS",
    "LiveChoice",
    "LiveModels",
    "apply_settings",
    "choices_for",
    "named_error",
    "parse_gains",
    "split_arguments",
    "stations_of",
]

_SOURCE = re.compile(r"(mic|loopback)(:.+)?", re.DOTALL)
_OPTIONS = {
    "max_block_frames": "--block-frames",
    "block_frames": "--block-frames",
    "ring_blocks": "--ring-blocks",
    "sample_rate": "--sample-rate",
}
_PARAMETER = re.compile(rf"\b({'|'.join(_OPTIONS)})\b(=?)")


@dataclass(frozen=True)
class LiveChoice:
    """A model and what it is asked for.

    Attributes
    ----------
    name : str
        For the user: an operating point, or the latency.
    model : str
        Name or path.
    latency_s : float or None
        From end to end; None for what the model asks for.
    device_latency : {"low", "high"}
    """

    name: str
    model: str
    latency_s: float | None = None
    device_latency: Literal["low", "high"] = "low"


OPERATING_POINTS = ("low", "balanced", "quality")
"""Least latency; the usual; most time for the model and deep buffers, for machines with other work."""
_MAX_HOP_MS = 60_000
_QUALITY_S = 0.150
"""From end to end. Beyond it a musician no longer plays along, and a listener does not mind."""


def _points(name: str, model: str | None) -> tuple[LiveChoice, ...]:
    if name == "low":
        return (LiveChoice(name, model or "spatial-low"),)
    usual = LiveChoice(name, model or "spatial")
    if name == "balanced":
        return (usual,)
    deep = replace(usual, device_latency="high")
    # Devices or a model that take more than that by themselves get what they take.
    return (replace(deep, latency_s=_QUALITY_S), deep)


def choices_for(latency: str | None, model: str | None) -> tuple[LiveChoice, ...]:
    """Give what to try, the best first.

    Parameters
    ----------
    latency : str or None
        Milliseconds from end to end, or a name of ``OPERATING_POINTS``; None for the usual.
    model : str or None
        Name or path; None lets the latency choose among the embedded ones.

    Raises
    ------
    ConfigurationError
        If the latency is neither.
    """
    if latency is None or latency in OPERATING_POINTS:
        return _points(latency or "balanced", model)
    try:
        milliseconds = float(latency)
    except ValueError:
        milliseconds = math.nan
    if not 0 < milliseconds <= 60_000:
        raise ConfigurationError(
            f"--latency-ms {latency!r} is no latency: give milliseconds from end to end, up to 60000, or "
            f"{', '.join(OPERATING_POINTS)}"
        )
    models = ("spatial", "spatial-low") if model is None else (model,)
    return tuple(LiveChoice(f"{milliseconds:g} ms", name, milliseconds / 1000) for name in models)


def stations_of(start: LiveChoice, model: str | None) -> tuple[tuple[LiveChoice, ...], ...]:
    """Give the operating points in their round, each with what to try for it; one of a number is one of them too."""
    stations = tuple(choices_for(name, model) for name in OPERATING_POINTS)
    return stations if start.name in OPERATING_POINTS else ((start,), *stations)


class LiveModels:
    """Makes processors of models, each of which is loaded once.

    Parameters
    ----------
    config : Path, optional
        Of a checkpoint.
    hop_ms : float, optional
        Time between two windows, of models that are run on windows.
    wish : ComputeWish
        What they run on.

    Raises
    ------
    ConfigurationError
        If that is no time.
    """

    def __init__(self, config: Path | None, hop_ms: float | None, wish: ComputeWish | None = None) -> None:
        if hop_ms is not None and not 0 < hop_ms <= _MAX_HOP_MS:
            raise ConfigurationError(
                f"--hop-ms {hop_ms:g} is no time between two windows: give milliseconds above 0, up to {_MAX_HOP_MS}"
            )
        self._config = config
        self._hop_ms = hop_ms
        self._wish = wish or ComputeWish()
        self._loaded: dict[str, Separator] = {}

    def processor(self, choice: LiveChoice) -> StemProcessor:
        """Make a processor that asks for real-time priority where there is a second core for everything else.

        Raises
        ------
        ModelError
            If the model cannot be loaded.
        ConfigurationError
            If it takes no hop of this length.
        """
        from engine.plan import live_plan
        from streamer.processor import StemProcessor

        if choice.model not in self._loaded:
            self._loaded[choice.model], _ = load_chosen(choice.model, self._config, self._wish)
        separator = self._loaded[choice.model]
        plan = None
        if self._hop_ms is not None:
            hop_frames = max(1, round(self._hop_ms * separator.spec.sample_rate / 1000))
            plan = live_plan(separator.spec, hop_frames=hop_frames)
        return StemProcessor(separator, realtime=True, priority=usable_cores() > 1, plan=plan)

    def release(self) -> None:
        """Free the models; no processor may use them any more."""
        for separator in self._loaded.values():
            separator.release()
        self._loaded.clear()


def split_arguments(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Tell the source from outputs of stems that were written without their option again.

    Returns
    -------
    source : str
        ``mic`` where none was given.
    outputs : list of str

    Raises
    ------
    ConfigurationError
        If more than one source is given, or one that is none.
    """
    outputs = [each for each in arguments if "=" in each and ":" not in each]
    sources = [each for each in arguments if each not in outputs]
    if len(sources) > 1:
        raise ConfigurationError(f"sources {', '.join(sources)} were given: give one")
    source = sources[0] if sources else "mic"
    if not _SOURCE.fullmatch(source):
        raise ConfigurationError(
            f"source {source!r} is not known: use mic, mic:NAME, mic:3, loopback or loopback:NAME, from what "
            "'stemstream devices' lists"
        )
    return source, outputs


def named_error(error: StemstreamError, latency: str | None) -> StemstreamError:
    """Name the options in an error that a session raised about its own parameters.

    Parameters
    ----------
    error : ConfigurationError or DeviceError
    latency : str or None
        What was given for ``--latency-ms``.
    """
    text = _PARAMETER.sub(lambda found: _OPTIONS[found[1]] + (" " if found[2] else ""), str(error))
    if isinstance(error, LatencyError):
        return LatencyError(text if latency is None else f"--latency-ms {latency}: {text}", smallest_s=error.smallest_s)
    return error if text == str(error) else type(error)(text)


def parse_gains(gains: Sequence[str]) -> dict[str, float]:
    """Read ``STEM=DB``, one or several.

    Raises
    ------
    ConfigurationError
        If one has another form.
    """
    found: dict[str, float] = {}
    for gain in gains:
        stem, equals, value = gain.rpartition("=")
        try:
            found[stem] = float(value)
        except ValueError:
            equals = ""
        if not equals or not stem or math.isnan(found[stem]):
            raise ConfigurationError(f"--gain {gain!r} is not STEM=DB: write for instance bass=-6")
    return found


def apply_settings(mixer: Mixer, *, mute: Sequence[str], solo: Sequence[str], gains: dict[str, float]) -> None:
    """Set a mixer before the first block is heard; ConfigurationError if a stem or a gain is not allowed."""
    for stem in mute:
        mixer[stem].mute = True
    for stem in solo:
        mixer[stem].solo = True
    for stem, gain_db in gains.items():
        mixer[stem].gain_db = gain_db
