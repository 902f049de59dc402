"""A sound device as the program knows it: what it is called, what it can do and who is asked for its sound."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Backend", "Device", "Direction"]

Direction = Literal["input", "output"]
Backend = Literal["portaudio", "soundcard", "wasapi", "catap"]

_MONITOR = re.compile(r"(?<![^\W_])monitor(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True)
class Device:
    """An audio device, as PortAudio or what gives loopback on this system shows it.

    Attributes
    ----------
    index : int
        Its number in the list; another one after devices came or went.
    name, host_api : str
    max_input_channels, max_output_channels : int
        0 where it cannot record, or cannot play.
    default_sample_rate : int
        In Hz.
    low_input_latency_s, low_output_latency_s, high_input_latency_s, high_output_latency_s : float
        What its driver proposes for live use and for robust use.
    is_default_input, is_default_output : bool
    backend : {"portaudio", "soundcard", "wasapi", "catap"}
        What opens it: SoundCard for the monitors of PulseAudio and PipeWire, PyAudioWPatch for WASAPI, catap for taps
        of Core Audio.
    key : str
        What the backend itself calls it; empty for PortAudio, which counts its devices.
    sink : str
        Of a loopback: the output whose sound it gives; empty where that is all outputs, or not known.
    is_default_loopback : bool
        Whether it gives what the system's default output plays.
    skips_own_sound : bool
        Whether it leaves out what this program plays.
    """

    index: int
    name: str
    host_api: str
    max_input_channels: int
    max_output_channels: int
    default_sample_rate: int
    low_input_latency_s: float = 0.0
    low_output_latency_s: float = 0.0
    high_input_latency_s: float = 0.0
    high_output_latency_s: float = 0.0
    is_default_input: bool = False
    is_default_output: bool = False
    backend: Backend = "portaudio"
    key: str = ""
    sink: str = ""
    is_default_loopback: bool = False
    skips_own_sound: bool = False

    @property
    def is_monitor(self) -> bool:
        """Whether it gives what the computer plays; PortAudio's devices are known by their names."""
        if self.backend != "portaudio":
            return True
        return self.max_input_channels > 0 and _MONITOR.search(self.name) is not None

    def max_channels(self, direction: Direction) -> int:
        """Give the most channels that it records or plays."""
        return self.max_input_channels if direction == "input" else self.max_output_channels

    def is_default(self, direction: Direction) -> bool:
        """Whether the system proposes it."""
        return self.is_default_input if direction == "input" else self.is_default_output

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.index} {self.name} ({self.host_api}, {self.max_input_channels} in, {self.max_output_channels} out)"
        )
