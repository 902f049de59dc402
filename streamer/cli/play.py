"""``stemstream play``: songs as stems that can be mixed while they sound."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from engine.errors import ConfigurationError
from engine.excerpt import parse_time
from streamer.cli.compute import ComputeWish
from streamer.cli.live_setup import parse_gains
from streamer.cli.options import Backend, Config, Debug, Device, Json, Model, Pace, Precision, latency_s
from streamer.cli.play_live import play_live
from streamer.cli.play_run import PlayWishes, play_songs

__all__ = ["play"]

_BLOCK_FRAMES = {"live": 512, "player": 256}


class Preset(StrEnum):
    """Mixes by name."""

    ALL = "all"
    KARAOKE = "karaoke"
    INSTRUMENTAL = "instrumental"
    ACAPPELLA = "acappella"
    DRUMLESS = "drumless"


class FinishOption(StrEnum):
    """When songs are separated to their ends."""

    BACKGROUND = "background"
    EXIT = "exit"
    NEVER = "never"


class GapsOption(StrEnum):
    """What stands where stems are not there."""

    AUTO = "auto"
    MIXTURE = "mixture"
    SILENCE = "silence"


def play(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER...", help="Songs and folders of songs, in order.")
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="DEVICE|none", help="A device by name or number; none plays to nobody."),
    ] = "default",
    preset: Annotated[Preset, typer.Option("--preset", help="Begin with this mix.")] = Preset.ALL,
    mute: Annotated[list[str] | None, typer.Option("--mute", metavar="STEM", help="Begin with it muted.")] = None,
    solo: Annotated[list[str] | None, typer.Option("--solo", metavar="STEM", help="Begin with only it heard.")] = None,
    gain: Annotated[list[str] | None, typer.Option("--gain", metavar="STEM=DB", help="Begin with this gain.")] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Begin there in the first song; seconds or m:ss.")
    ] = None,
    loop: Annotated[
        str | None, typer.Option("--loop", metavar="A-B", help="Play this stretch over and over, as in 1:02-1:10.5.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="Write the stems to DIR/TRACK/STEM.wav, as they come.")
    ] = None,
    finish: Annotated[
        FinishOption,
        typer.Option("--finish", help="Songs are separated to their ends beside the playing, at the exit, or never."),
    ] = FinishOption.BACKGROUND,
    gaps: Annotated[
        GapsOption,
        typer.Option("--gaps", help="Where stems are late: the song, silence, or silence while a stem is muted."),
    ] = GapsOption.AUTO,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither use nor keep stems of other times.")] = False,
    cache_gb: Annotated[float, typer.Option("--cache-gb", metavar="GB", help="Most that is kept of them.")] = 8.0,
    overlap: Annotated[
        int | None, typer.Option("--overlap", metavar="N", help="Windows that each frame is in, as for separate.")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", help="Windows in one run of the model.")] = 1,
    as_live: Annotated[bool, typer.Option("--as-live", help="Through the live path, with its latency.")] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE.html", help="Write a page in which it can be seen and heard."),
    ] = None,
    pace: Annotated[
        Pace | None, typer.Option("--pace", help="realtime: never wait for the model. fast: wait for it.")
    ] = None,
    latency_ms: Annotated[
        float | None, typer.Option("--latency-ms", metavar="MS", help="The latency that the live path has.")
    ] = None,
    block_frames: Annotated[
        int | None, typer.Option("--block-frames", "-b", metavar="N", help="Frames that are moved at once.")
    ] = None,
    model: Model = "spatial",
    config: Config = None,
    device: Device = "auto",
    backend: Backend = "auto",
    precision: Precision = "auto",
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Play songs as stems, separated ahead of the play head.

    Keys mute, solo and turn stems and move the play head; `h` lists them, q leaves. Stems are kept for the next time
    (`stemstream cache`). Where the machine is too slow the song goes on, and it is told.

    --as-live and --latency-ms send them through the live path instead, as they would be heard from a microphone; with
    --output none, which --report and --pace need, that is one file, and told is how well it went. Nothing is written
    but what --save and --report ask for, and the cache.
    """
    compute = ComputeWish(device, backend, precision)
    if report is not None or pace is not None or (output == "none" and (as_live or latency_ms is not None)):
        _check_live(files, output, preset, mute, solo, gain, start, loop)
        return play_live(
            files[0],
            output=output,
            save=save,
            report=report,
            model=model,
            config=config,
            compute=compute,
            pace=Pace.REALTIME if pace is None else pace,
            latency_ms=latency_ms,
            block_frames=_BLOCK_FRAMES["live"] if block_frames is None else block_frames,
            json=json,
        )
    wishes = PlayWishes(
        files=files,
        output=None if output == "none" else output,
        preset=preset.value,
        mute=mute or [],
        solo=solo or [],
        gains=parse_gains(gain or []),
        start_s=0.0 if start is None else parse_time(start, "--start"),
        loop=None if loop is None else _parse_loop(loop),
        save=save,
        finish=finish.value,
        gaps=gaps.value,
        cache_bytes=None if no_cache else _bytes_of(cache_gb),
        overlap=overlap,
        batch_size=batch_size,
        block_frames=_BLOCK_FRAMES["player"] if block_frames is None else block_frames,
        model=model,
        config=config,
        compute=compute,
        is_live=as_live or latency_ms is not None,
        latency_s=latency_s(latency_ms),
    )
    if wishes.is_live and save is not None:
        raise ConfigurationError("--save and the live path on a device: save with --output none, or without --as-live")
    return play_songs(wishes, is_json=json)


def _check_live(files: list[Path], output: str, preset: Preset, *others: object) -> None:
    """Refuse what the live path without a device cannot do."""
    if output != "none":
        raise ConfigurationError(f"--report and --pace are for nobody's ears: use --output none, not {output!r}")
    if len(files) != 1:
        raise ConfigurationError(f"{len(files)} files and the live path: give one")
    if preset is not Preset.ALL or any(others):
        raise ConfigurationError(
            "--preset, --mute, --solo, --gain, --start and --loop are for what is heard: leave them out, or choose a "
            "device, or leave --as-live, --report, --pace and --latency-ms out"
        )


def _parse_loop(text: str) -> tuple[float, float]:
    begin, dash, end = text.partition("-")
    if not dash:
        raise ConfigurationError(f"--loop {text!r} is no stretch: give its beginning and end, as in 1:02-1:10.5")
    return parse_time(begin, "--loop"), parse_time(end, "--loop")


def _bytes_of(gigabytes: float) -> int:
    if not 0 <= gigabytes < 1e6:
        raise ConfigurationError(f"--cache-gb {gigabytes:g} is no size: give gigabytes, 0 or more")
    return round(gigabytes * 1e9)
