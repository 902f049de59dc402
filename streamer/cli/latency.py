"""``stemstream latency``: send probes the whole way round and tell when they came back."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import ConfigurationError, DeviceError, LatencyError
from streamer.cli.options import (
    BlockFrames,
    Config,
    Debug,
    DeviceLatency,
    Json,
    Model,
    RingBlocks,
    SampleRate,
    asked_latency,
    latency_s,
    named_latency_error,
)
from streamer.cli.terminal import print_json, print_result, watched_progress

if TYPE_CHECKING:
    from streamer.measuring import Measurement
    from streamer.round_trip import PartRow, RoundTrip, Statistics

__all__ = ["latency"]

_PAGES = (".html", ".htm")
_SOURCE = re.compile(r"(mic|loopback)(:.+)?")
_NOTHING = (
    "no probe came back: connect the output to the input with a cable, choose a device that loops back, raise "
    "--level-db, or use --simulate"
)


def latency(
    source: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="DEVICE", help="An input by name or number, mic, mic:NAME, or loopback:NAME."
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DEVICE", help="An output by name or number; else the input's own."),
    ] = None,
    sample_rate: SampleRate = None,
    block_frames: BlockFrames = 256,
    ring_blocks: RingBlocks = None,
    device_latency: DeviceLatency = None,
    model: Model = "spatial",
    config: Config = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            "--latency-ms", metavar="MS", help="From plug to plug; what nobody needs becomes time for the model."
        ),
    ] = None,
    probes: Annotated[int, typer.Option("--probes", metavar="N", help="How many are sent, 20 at least.")] = 20,
    level_db: Annotated[
        float, typer.Option("--level-db", metavar="DB", help="Of their peaks, -60 to 0 dB full scale.")
    ] = -18.0,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="No device: one is made up, in virtual time; the rest is real.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE.html", help="Write a page with the histogram and the timeline."),
    ] = None,
    no_store: Annotated[
        bool, typer.Option("--no-store", help="Do not keep what was measured as the device's calibration.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Measure the latency: play probes, find them again in the input, and compare with what is promised.

    The output has to reach the input: by a cable, through the air, or on a device that loops back. Without a device,
    --simulate makes one up. What is measured is stored for the device, and later promises count with it.
    """
    if simulate and (source is not None or output is not None):
        raise ConfigurationError("--simulate has no device: leave --input and --output out")
    if report is not None and report.suffix.lower() not in _PAGES:
        raise ConfigurationError(f"--report {str(report)!r} ends in {report.suffix!r}: allowed are {', '.join(_PAGES)}")
    from engine.files.part_file import whole_file
    from engine.registry import load_separator
    from streamer.measuring import Wish, measure_device, measure_simulated

    wish = Wish(
        sample_rate,
        block_frames,
        ring_blocks,
        latency_s(latency_ms),
        asked_latency(device_latency or "low"),
        probes=probes,
        level_db=level_db,
    )
    with ExitStack() as stack:
        found = None if simulate else _source(source)
        separator = load_separator(model, config=config)
        stack.callback(separator.release)
        # Opened before the sound, so that a place that cannot be written to is told at once.
        page = None if report is None else stack.enter_context(whole_file(report, option="--report"))
        with watched_progress("sending probes") as progress:
            try:
                if found is None:
                    measured = measure_simulated(separator, wish, progress=progress)
                else:
                    measured = measure_device(
                        separator, wish, source=found, output=output, stores=not no_store, progress=progress
                    )
            except LatencyError as error:
                raise named_latency_error(latency_ms, error) from error
        if page is not None:
            page.write(_page(measured, model=separator.spec.name).encode())
    if json:
        from streamer.cli.machine import describe_machine, installed_versions

        print_json(
            {
                "model": separator.spec.name,
                **measured.as_dict(),
                "report_html": None if report is None else str(report),
                "machine": describe_machine(),
                "versions": installed_versions(),
            }
        )
    else:
        for line in _lines(measured):
            print_result(line)
        if report is not None:
            print_result(f"report       {report}")
    if not measured.round_trip.found:
        raise DeviceError(_NOTHING)
    return 0


def _source(wish: str | None) -> str | int:
    """Give the input as a session names it: a bare name is an input's, ``loopback`` too where a device is called so."""
    if wish is None:
        return "mic"
    if wish.isdecimal():
        return int(wish)
    from streamer.audio.devices import list_devices

    names = {device.name.casefold() for device in list_devices() if device.max_input_channels}
    if _SOURCE.fullmatch(wish) and wish.casefold() not in names:
        return wish
    return f"mic:{wish}"


def _lines(measured: Measurement) -> list[str]:
    trip = measured.round_trip
    rate = trip.promise.sample_rate
    lines = [
        f"from         {measured.input} to {measured.output} ({measured.host_api}), {rate} Hz, "
        f"blocks of {trip.block_frames} frames",
        f"{'':<14} {'promised':>20}   {'measured':>20}",
        *(_row_line(row, rate) for row in trip.rows),
        f"probes       {trip.found} of {len(trip.trips)} came back",
    ]
    if (total := trip.total) is not None:
        lines += [f"round trip   {_told(total, rate)}", f"against      {_difference(trip)}"]
    lines.append(f"xruns        {len(trip.xruns) or 'none'}")
    if measured.is_simulated:
        lines.append(
            "simulated    the device is made up and no run of the model takes time; the rest is what it is live"
        )
    elif measured.calibration_file is not None:
        lines.append(f"calibration  stored in {measured.calibration_file}")
    else:
        lines.append(f"calibration  not stored: {measured.not_stored}")
    return lines


def _row_line(row: PartRow, rate: int) -> str:
    name = f"{'  ' * row.depth}{row.name}"
    found = f"{'-':>20}" if row.measured is None else _amount(row.measured.median_frames, rate)
    return f"{name:<14} {_amount(row.promised_frames, rate)}   {found}   {row.remark}".rstrip()


def _amount(frames: int, rate: int) -> str:
    return f"{frames:>8} {1000 * frames / rate:>8.2f} ms"


def _told(total: Statistics, rate: int) -> str:
    def ms(frames: int) -> str:
        return f"{1000 * frames / rate:.2f} ms"

    return (
        f"median {ms(total.median_frames)}, spread (p5 to p95) {ms(total.spread_frames)}, p95 {ms(total.p95_frames)}, "
        f"max {ms(total.max_frames)}"
    )


def _difference(trip: RoundTrip) -> str:
    frames = trip.difference_frames
    if not frames:
        return "as promised, to the frame"
    amount = f"{abs(frames)} frames, {1000 * abs(frames) / trip.promise.sample_rate:.2f} ms"
    return f"{amount} {'more' if frames > 0 else 'less'} than promised"


def _page(measured: Measurement, *, model: str) -> str:
    from streamer.cli.machine import describe_machine, installed_versions
    from streamer.report.latency_page import latency_contents, latency_page

    return latency_page(
        latency_contents(measured, model=model, machine=describe_machine(), versions=installed_versions())
    )
