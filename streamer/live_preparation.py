"""What has to be ready before a model is heard live: its share of the latency, its capacity, its mixer and recorder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigurationError, LatencyError, LifecycleError
from streamer.audio.stream import StreamFormat
from streamer.capacity import Capacity, check_capacity
from streamer.chain import Chain
from streamer.latency import round_up
from streamer.mixer import Mixer
from streamer.output_map import OutputMap
from streamer.processor import StemProcessor
from streamer.recorder import Recorder
from streamer.settling import check_latency

__all__ = ["PreparedChain", "check_processor", "prepare_chain"]


@dataclass(frozen=True)
class PreparedChain:
    """A chain that can take over, and what was found out about its model; no capacity where none was measured."""

    chain: Chain
    capacity: Capacity | None
    warning: str | None


def check_processor(processor: StemProcessor) -> None:
    """Refuse a processor that would make the sound wait."""
    if not processor.is_realtime:
        raise ConfigurationError("a live session cannot wait for the model: make its processor with realtime=True")


def _check_free(processor: StemProcessor) -> None:
    """Refuse a processor that somebody uses: to prepare it would end what it does."""
    if processor.is_prepared:
        raise LifecycleError(
            "this processor is prepared already, by another session or by the program: release it, or make another one"
        )


def prepare_chain(
    processor: StemProcessor,
    asked: StreamFormat,
    outputs: OutputMap,
    *,
    latency_s: float | None,
    other_frames: int,
    playing: Chain | None = None,
    record: str | os.PathLike[str] | None = None,
    checks_capacity: bool = True,
) -> PreparedChain:
    """Prepare a free processor for a stream, and what belongs to it. Nothing is left behind where that fails.

    Parameters
    ----------
    processor : StemProcessor
    asked : StreamFormat
    outputs : OutputMap
    latency_s : float, optional
        From end to end.
    other_frames : int
        Of it, what devices and ring take.
    playing : Chain, optional
        The one whose place is taken. Stems of the same name keep its controls, and the model is not timed where the
        two share a worker: what is heard would have to wait for that.
    record : path-like, optional
        Folder for a recording.
    checks_capacity : bool

    Raises
    ------
    LatencyError
        If what is left of ``latency_s`` is too little for the processor.
    CapacityError
        If the model cannot keep up.
    ConfigurationError
        As ``StemProcessor.prepare`` does.
    OutputError
        If nothing can be recorded in the folder.
    LifecycleError
        If the processor is prepared already.
    """
    check_processor(processor)
    _check_free(processor)
    _prepare(processor, asked, latency_s, other_frames)
    try:
        capacity, warning = None, None
        if checks_capacity and not (playing is not None and processor.shares_worker(playing.processor)):
            capacity, warning = _measure(processor)
        mixer = Mixer(
            processor.stems,
            channels=asked.input_channels,
            sample_rate=asked.sample_rate,
            max_block_frames=asked.block_frames,
            outputs=outputs,
            controls=None if playing is None else playing.mixer,
        )
        recorder = None
        if record is not None:
            recorder = Recorder(
                Path(record),
                processor.stems,
                sample_rate=asked.sample_rate,
                channels=asked.input_channels,
                with_mixture="mixture" not in {stem.lower() for stem in processor.stems},
            )
        return PreparedChain(
            Chain(processor, mixer, block_frames=asked.block_frames, recorder=recorder), capacity, warning
        )
    except BaseException:
        processor.release()
        raise


def _prepare(processor: StemProcessor, asked: StreamFormat, latency_s: float | None, other_frames: int) -> None:
    check_latency(latency_s)
    rest_s = None if latency_s is None else latency_s - other_frames / asked.sample_rate
    try:
        if rest_s is not None and rest_s <= 0:
            # The smallest latency there is, for a refusal that names one that works.
            rest_s = 1 / asked.sample_rate
        processor.prepare(
            sample_rate=asked.sample_rate,
            channels=asked.input_channels,
            max_block_frames=asked.block_frames,
            fixed_blocks=True,
            latency_s=rest_s,
        )
    except LatencyError as error:
        if latency_s is None or error.smallest_s is None:
            raise
        other_s = other_frames / asked.sample_rate
        smallest_s = round_up(error.smallest_s + other_s)
        raise LatencyError(
            f"{1000 * latency_s:g} ms from end to end are too little for {processor.spec.name!r}: devices and ring "
            f"take {1000 * other_s:.1f} ms, and the smallest that works here is {1000 * smallest_s:g} ms; raise it, or "
            "shorten the blocks or the ring",
            smallest_s=smallest_s,
        ) from error


def _measure(processor: StemProcessor) -> tuple[Capacity | None, str | None]:
    capacity = processor.measure_capacity()
    if capacity.runs and capacity.p99_s > capacity.hop_s >= 2 * capacity.p50_s:
        # A model that is fast as a rule was held up by something else: look for longer before it is refused.
        capacity = processor.measure_capacity(runs=600, seconds=3.0)
    if not capacity.runs:
        return None, None
    plan, rate = processor.plan, processor.spec.sample_rate
    longest = plan.hop_frames if plan.stateful else plan.window_frames - plan.lookahead_frames - plan.fade_frames
    return capacity, check_capacity(capacity, longest_hop_s=longest / rate)
