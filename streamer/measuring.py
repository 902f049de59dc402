"""Measuring a whole way: on a device whose output comes back to its input, or simulated without one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engine.machine import package_version
from engine.progress import ProgressCallback
from engine.separator import Separator
from streamer.audio.devices import Device, find_pair, list_devices
from streamer.audio.probe import MIN_PROBES, ProbeSignal
from streamer.audio.simulated_stream import SimulatedStream
from streamer.audio.stream import AudioStream, StreamFormat
from streamer.calibration import Calibration, CalibrationKey, load_calibration, store_calibration
from streamer.interpreter import calm_interpreter
from streamer.live_format import Engine, LiveWishes, open_stream, settle_format
from streamer.live_preparation import prepare_chain
from streamer.output_map import OutputMap
from streamer.probe_run import run_probes
from streamer.processor import StemProcessor
from streamer.round_trip import DeviceSource, Promise, RoundTrip
from streamer.testing import ScriptedWorker, VirtualClock

__all__ = ["Measurement", "Wish", "measure_device", "measure_simulated"]

_CLOSE_S = 2.0
_ENOUGH = 0.5
"""Share of the probes that must come back for their median to be kept."""
_SIMULATED_RATE = 48_000
_SIMULATED = ("simulated input", "simulated output")
_SIMULATED_INPUT_FRAMES, _SIMULATED_OUTPUT_FRAMES = 96, 160


@dataclass(frozen=True)
class Wish:
    """What to measure.

    Attributes
    ----------
    sample_rate : int or None
        In Hz; None for the input's default, 48 kHz where it is simulated.
    block_frames : int
    ring_blocks : int or None
        None for what a live session takes.
    latency_s : float or None
        From plug to plug; what the processor does not need of it becomes time for the model. None: the smallest.
    device_latency : {"low", "high"} or float
        What is asked of the driver.
    engine : {"auto", "rtmixer", "callback"}
    probes : int
        How many are sent, 20 at least.
    level_db : float
        Of their peaks, against full scale.
    """

    sample_rate: int | None = None
    block_frames: int = 256
    ring_blocks: int | None = None
    latency_s: float | None = None
    device_latency: Literal["low", "high"] | float = "low"
    engine: Engine = "auto"
    probes: int = MIN_PROBES
    level_db: float = -18.0


@dataclass(frozen=True)
class Measurement:
    """A round trip, and on what it was made.

    Attributes
    ----------
    round_trip : RoundTrip
    host_api, input, output : str
    is_simulated : bool
    calibration_file : Path or None
        Where the device's part was stored; None if it was not.
    not_stored : str
        Why it was not; empty where it was.
    """

    round_trip: RoundTrip
    host_api: str
    input: str
    output: str
    is_simulated: bool
    calibration_file: Path | None = None
    not_stored: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Everything for a JSON report."""
        return {
            "simulated": self.is_simulated,
            "host_api": self.host_api,
            "input": self.input,
            "output": self.output,
            **self.round_trip.as_dict(),
            "calibration_file": None if self.calibration_file is None else str(self.calibration_file),
            "not_stored": self.not_stored,
        }


def measure_device(
    separator: Separator,
    wish: Wish,
    *,
    source: str | int = "mic",
    output: str | int | None = None,
    stores: bool = True,
    progress: ProgressCallback | None = None,
) -> Measurement:
    """Measure on a device whose output reaches its input: by a cable, through the air, or by itself.

    Parameters
    ----------
    separator : Separator
    wish : Wish
    source, output : str, int or None
        As for ``LiveSession``.
    stores : bool
        Keep the device's part as its calibration, if at least half of the probes came back and their delays agree to
        a block.
    progress : callable, optional
        Called for each block; an exception from it ends the measurement.

    Raises
    ------
    DeviceError
        If a device cannot be found or opened, or stops.
    ConfigurationError, LatencyError
        If a wish cannot be met.
    OutputError
        If the calibration cannot be written.
    """
    heard, played = find_pair(list_devices(), source, output)
    asked, outputs = _settled(heard, played, separator, wish)
    signal = ProbeSignal(wish.probes, sample_rate=asked.sample_rate, level_db=wish.level_db)
    stream = open_stream(asked, wish.engine)
    with ExitStack() as exits:
        exits.callback(stream.close, _CLOSE_S)
        key = CalibrationKey.of(asked, stream.latency)
        known = load_calibration(key)
        stated = stream.latency.input_frames + stream.latency.output_frames
        promised: tuple[int, DeviceSource] = (stated, "stated by driver")
        if known is not None:
            promised = (known.device_frames, "measured before")
        processor = StemProcessor(separator, realtime=True)
        exits.enter_context(calm_interpreter())
        trip = _measured(stream, processor, signal, asked, outputs, wish, promised, progress)
    kept, refusal = None, "as asked" if not stores else _doubt(trip)
    device = trip.device
    if device is not None and not refusal:
        calibration = Calibration(device.median_frames, device.spread_frames, device.count, versions=_versions())
        kept = store_calibration(key, calibration)
    return Measurement(trip, heard.host_api, heard.name, played.name, False, kept, refusal)


def measure_simulated(separator: Separator, wish: Wish, *, progress: ProgressCallback | None = None) -> Measurement:
    """Measure without a device, in virtual time: a device is made up whose latency is known.

    Probes, processor, mixer and ring are those of a session, and the model is run. Its runs take no virtual time, so
    every deadline is kept: what a machine's speed does to the sound is not part of this.

    Parameters
    ----------
    separator : Separator
    wish : Wish
        ``device_latency`` has no meaning here.
    progress : callable, optional
        As for `measure_device`.

    Raises
    ------
    ConfigurationError, LatencyError
        If a wish cannot be met.
    """
    rate = _SIMULATED_RATE if wish.sample_rate is None else wish.sample_rate
    signal = ProbeSignal(wish.probes, sample_rate=rate, level_db=wish.level_db)
    wired = [Device(number, name, "simulated", 2, 2, rate) for number, name in enumerate(_SIMULATED)]
    asked, outputs = _settled(wired[0], wired[1], separator, replace(wish, sample_rate=rate))
    clock = VirtualClock(rate)
    stream = SimulatedStream(
        channels=asked.output_channels,
        block_frames=asked.block_frames,
        ring_frames=asked.ring_frames,
        input_frames=_SIMULATED_INPUT_FRAMES,
        output_frames=_SIMULATED_OUTPUT_FRAMES,
        passes=clock.advance,
    )
    processor = StemProcessor(separator, realtime=True, worker=ScriptedWorker(clock), clock=clock)
    promised: tuple[int, DeviceSource] = (_SIMULATED_INPUT_FRAMES + _SIMULATED_OUTPUT_FRAMES, "simulated")
    trip = _measured(stream, processor, signal, asked, outputs, wish, promised, progress)
    return Measurement(trip, "simulated", *_SIMULATED, True, not_stored="there is no device")


def _settled(heard: Device, played: Device, separator: Separator, wish: Wish) -> tuple[StreamFormat, OutputMap]:
    asked = LiveWishes(
        "mic", None, wish.sample_rate, wish.block_frames, wish.ring_blocks, None, wish.device_latency, wish.engine
    )
    spec = separator.spec
    return settle_format(asked, heard, played, model_channels=spec.channels, stems=spec.output_stems)


def _measured(
    stream: AudioStream,
    processor: StemProcessor,
    signal: ProbeSignal,
    asked: StreamFormat,
    outputs: OutputMap,
    wish: Wish,
    promised: tuple[int, DeviceSource],
    progress: ProgressCallback | None,
) -> RoundTrip:
    """Prepare a processor for a stream, send the probes, and let go of it."""
    device_frames, source = promised
    bridge_frames = _bridge_frames(stream)
    chain = prepare_chain(
        processor,
        asked,
        outputs,
        latency_s=wish.latency_s,
        other_frames=device_frames + bridge_frames + asked.ring_frames,
        checks_capacity=False,
    ).chain
    try:
        stated = stream.latency
        trip = run_probes(
            stream,
            chain,
            signal,
            promise=Promise(
                device_frames,
                source,
                stated.input_frames,
                stated.output_frames,
                asked.ring_frames,
                processor.latency,
                bridge_frames,
            ),
            block_frames=asked.block_frames,
            input_channels=asked.input_channels,
            progress=progress,
        )
    finally:
        chain.release()
    # How far two clocks have to be apart is settled when both run.
    return replace(trip, promise=replace(trip.promise, clock_bridge_frames=_bridge_frames(stream)))


def _bridge_frames(stream: AudioStream) -> int:
    return int(getattr(stream, "bridge_frames", 0))


def _doubt(trip: RoundTrip) -> str:
    """Say why what was measured must not be relied on later; empty where it may be."""
    device = trip.device
    if device is None or device.count < _ENOUGH * len(trip.trips):
        return "less than half of the probes came back"
    if device.spread_frames > trip.block_frames:
        return "the delays differ by more than a block: give the device more time with --device-latency"
    return ""


def _versions() -> dict[str, str]:
    versions = {name: package_version(name) for name in ("stemstream", "sounddevice", "rtmixer")}
    return {name: version for name, version in versions.items() if version}
