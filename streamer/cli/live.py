"""``stemstream live``: stems of what a microphone hears or the computer plays, while it sounds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.errors import ConfigurationError, DeviceError, LatencyError
from engine.machine import usable_cores
from streamer.cli.compute import ComputeWish
from streamer.cli.devices import devices
from streamer.cli.interruption import Interruption
from streamer.cli.live_desk import Desk
from streamer.cli.live_setup import (
    LiveChoice,
    LiveModels,
    apply_settings,
    choices_for,
    named_error,
    parse_gains,
    split_arguments,
)
from streamer.cli.live_status import report_lines
from streamer.cli.options import (
    Backend,
    BlockFrames,
    Config,
    Debug,
    Device,
    DeviceLatency,
    Json,
    Precision,
    RingBlocks,
    SampleRate,
    asked_latency,
)
from streamer.cli.terminal import print_json, print_note, print_result, print_warning

if TYPE_CHECKING:
    from streamer.live import LiveSession
    from streamer.live_stats import LiveStats
    from streamer.mixer import Mixer

__all__ = ["live"]

_FAILED = 1
_INTERRUPTED = 130


def live(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]", help="mic (default), mic:NAME, mic:3, loopback or loopback:NAME."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DEVICE", help="An output by name or number; else the default."),
    ] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", "-l", help="List the devices and leave.")] = False,
    sample_rate: SampleRate = None,
    block_frames: BlockFrames = 256,
    ring_blocks: RingBlocks = None,
    latency_ms: Annotated[
        str | None,
        typer.Option("--latency-ms", metavar="MS|low|balanced|quality", help="From end to end; else balanced."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|PATH", help="Else an embedded one that goes with the latency."),
    ] = None,
    config: Config = None,
    device: Device = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    hop_ms: Annotated[
        float | None,
        typer.Option("--hop-ms", metavar="MS", help="Time between two windows, of models that are run on windows."),
    ] = None,
    mute: Annotated[list[str] | None, typer.Option("--mute", metavar="STEM", help="Begin with it muted.")] = None,
    solo: Annotated[list[str] | None, typer.Option("--solo", metavar="STEM", help="Begin with only it heard.")] = None,
    gain: Annotated[list[str] | None, typer.Option("--gain", metavar="STEM=DB", help="Begin with this gain.")] = None,
    stem_outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--stem-outputs", metavar="STEM=CH[,CH]", help="Channels of its own, from 1; `mix=1,2` keeps the mix too."
        ),
    ] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="DIR", help="Record the stems to DIR/take-NNN/STEM.wav.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", metavar="S", help="Leave after so many seconds.")
    ] = None,
    device_latency: DeviceLatency = None,
    allow_feedback: Annotated[
        bool, typer.Option("--allow-feedback", help="Also with an input that hears the output.")
    ] = False,
    allow_silence: Annotated[
        bool, typer.Option("--allow-silence", help="Also with a microphone that gives nothing but zeros.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Separate what a microphone hears or the computer plays, and play it while it comes.

    Without --latency-ms the usual operating point is taken; `low` and `quality` trade latency for time to spare. Keys
    mute, solo and turn stems while it runs; q or Ctrl-C leaves. Several stems get channels of their own by
    --stem-outputs vocals=1,2 drums=3,4.
    """
    if list_devices:
        return devices(json=json, debug=debug)
    source, more_outputs = split_arguments(arguments or [])
    gains, choices = parse_gains(gain or []), choices_for(latency_ms, model)
    if duration is not None and not duration >= 0:
        raise ConfigurationError(f"--duration {duration:g} is no length: give seconds, 0 or more")
    from streamer.live import LiveSession

    models = LiveModels(config, hop_ms, ComputeWish(device, backend, precision))
    with ExitStack() as stack, _quiet_log():
        interruption = stack.enter_context(Interruption())
        stack.callback(models.release)

        def configure(mixer: Mixer) -> None:
            apply_settings(mixer, mute=mute or [], solo=solo or [], gains=gains)

        def asked_of_driver(choice: LiveChoice) -> Literal["low", "high"] | float:
            return asked_latency(device_latency or choice.device_latency)

        def begin(choice: LiveChoice) -> LiveSession:
            processor = models.processor(choice)
            try:
                session = LiveSession(
                    processor,
                    source=source,
                    output=output,
                    sample_rate=sample_rate,
                    block_frames=block_frames,
                    latency_s=choice.latency_s,
                    ring_blocks=ring_blocks,
                    outputs=[*(stem_outputs or []), *more_outputs] or None,
                    record=record,
                    allow_feedback=allow_feedback,
                    priority=usable_cores() > 1,
                    device_latency=asked_of_driver(choice),
                    configure=configure,
                )
                return stack.enter_context(session)
            except (ConfigurationError, DeviceError) as error:
                raise named_error(error, latency_ms) from error

        session, choice = _first_that_fits(choices, begin)
        _tell_start(session)
        desk = Desk(session, choice, models, model=model, device_latency=asked_of_driver(choice))
        code = 0
        try:
            desk.run(interruption.check, duration, needs_sound=not (session.input.is_monitor or allow_silence))
        except KeyboardInterrupt:
            code = _INTERRUPTED
        session.close()
        desk.tell_events()
        stats = session.stats()
        _tell_end(session, stats, desk, json=json)
    if stats.recording is not None and stats.recording.error is not None:
        # What was asked for is not all there, and a script has to know.
        return code or _FAILED
    return code


def _first_that_fits(
    choices: Sequence[LiveChoice], begin: Callable[[LiveChoice], LiveSession]
) -> tuple[LiveSession, LiveChoice]:
    """Begin with the first choice whose latency works; raises what the last one does."""
    for choice in choices[:-1]:
        with suppress(LatencyError):
            return begin(choice), choice
    return begin(choices[-1]), choices[-1]


def _tell_start(session: LiveSession) -> None:
    print_note(f"from {session.input} to {session.output}")
    print_note(f"latency {session.latency}")
    if session.warning is not None:
        print_warning(session.warning)


def _tell_end(session: LiveSession, stats: LiveStats, desk: Desk, *, json: bool) -> None:
    for report in stats.priorities:
        if not report.granted:
            print_note(f"without real-time priority for the {report}")
    if json:
        print_json(
            {
                "input": session.input.as_dict(),
                "output": session.output.as_dict(),
                "operating_point": desk.choice.name,
                "model": desk.choice.model,
                "device_latency": desk.device_latency,
                **stats.as_dict(),
                "events": [event.as_dict() for event in desk.events],
            }
        )
        return
    for line in report_lines(stats):
        print_result(line)


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Keep the session from logging what is printed as an event."""
    logger = logging.getLogger("stemstream.live")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
