"""From the options of ``stemstream play`` to a player, and what is said of it at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import DeviceError
from engine.machine import usable_cores
from streamer.cli.compute import ComputeWish, load_chosen, precision_mark
from streamer.cli.interruption import Interruption
from streamer.cli.live_setup import apply_settings
from streamer.cli.play_desk import PlayDesk
from streamer.cli.play_status import report_lines
from streamer.cli.terminal import print_json, print_note, print_result, watched_progress

if TYPE_CHECKING:
    from engine.progress import Progress
    from engine.separator import Separator
    from engine.stem_cache import StemCache
    from streamer.player import Player
    from streamer.player_stats import PlayerStats

__all__ = ["PlayWishes", "play_songs"]

_FAILED, _INTERRUPTED = 1, 130
_READ_FRAMES = 1 << 14


@dataclass(frozen=True)
class PlayWishes:
    """What a user asked for; see the options of the command."""

    files: Sequence[Path]
    output: str | None
    preset: str
    mute: Sequence[str]
    solo: Sequence[str]
    gains: dict[str, float]
    start_s: float
    loop: tuple[float, float] | None
    save: Path | None
    finish: Literal["background", "exit", "never"]
    gaps: Literal["auto", "mixture", "silence"]
    cache_bytes: int | None
    overlap: int | None
    batch_size: int
    block_frames: int
    model: str
    config: Path | None
    compute: ComputeWish
    is_live: bool
    latency_s: float | None

    @property
    def cache(self) -> StemCache | None:
        """The cache to use."""
        from engine.stem_cache import StemCache

        return None if self.cache_bytes is None else StemCache(limit_bytes=self.cache_bytes)


def play_songs(wishes: PlayWishes, *, is_json: bool) -> int:
    """Play, and give the exit code."""
    from engine.model_identity import model_identity
    from streamer.presets import apply_preset

    code = 0
    with ExitStack() as stack:
        interruption = stack.enter_context(Interruption())
        if wishes.output is not None:
            threading.Thread(target=_start_portaudio, name="stemstream-portaudio", daemon=True).start()
        separator, choice = load_chosen(wishes.model, wishes.config, wishes.compute)
        stack.callback(separator.release)
        identity = model_identity(separator, wishes.model, wishes.config)
        identity += precision_mark(wishes.compute, choice.compute)
        player = _live_player(wishes, separator) if wishes.is_live else _player(wishes, separator, identity)
        stack.callback(player.close, finishes=False)
        apply_preset(wishes.preset, player.mixer)
        apply_settings(player.mixer, mute=wishes.mute, solo=wishes.solo, gains=wishes.gains)
        if wishes.loop is not None:
            player.loop(*wishes.loop)
        desk = PlayDesk(player)
        try:
            if wishes.output is None:
                _render(
                    player, desk, loop_end_s=None if wishes.loop is None else wishes.loop[1], check=interruption.check
                )
            else:
                player.play()
                desk.run(interruption.check)
        except KeyboardInterrupt:
            code = _INTERRUPTED
        stats = player.stats()
        if not code:
            code = _finish(player, wishes, interruption.check)
        player.close(finishes=False)
        desk.tell_events()
        _tell_end(player, desk, stats, wishes, is_json=is_json)
    if code:
        return code
    return _FAILED if desk.has_skipped or player.not_saved else 0


def _start_portaudio() -> None:
    """Start it beside the loading of the model: it asks every sound server, which takes as long as the rest."""
    from streamer.audio.portaudio import library

    # Whoever opens the device meets it again, and tells.
    with suppress(DeviceError):
        library()


def _player(wishes: PlayWishes, separator: Separator, identity: str) -> Player:
    from streamer.player import Player

    return Player(
        wishes.files,
        separator,
        output=wishes.output,
        start_s=wishes.start_s,
        save=wishes.save,
        finish=wishes.finish,
        gaps=wishes.gaps,
        cache=wishes.cache,
        overlap=wishes.overlap,
        batch_size=wishes.batch_size,
        block_frames=wishes.block_frames,
        model_id=identity,
        priority=usable_cores() > 1,
    )


def _live_player(wishes: PlayWishes, separator: Separator) -> Player:
    from streamer.live_path_player import LivePathPlayer

    return LivePathPlayer(
        wishes.files,
        separator,
        output=wishes.output,
        start_s=wishes.start_s,
        block_frames=wishes.block_frames,
        latency_s=wishes.latency_s,
        priority=usable_cores() > 1,
    )


def _render(player: Player, desk: PlayDesk, *, loop_end_s: float | None, check: Callable[[], None]) -> None:
    """Play to nobody, as fast as the model is; a loop once."""
    from engine.progress import Progress

    left = None
    if loop_end_s is not None:
        left = round((min(loop_end_s, player.duration_s) - player.position_s) * player.output_rate)
    player.play()
    with watched_progress("playing to nobody") as progress:
        while not player.is_over and player.error is None and left != 0:
            check()
            frames = _READ_FRAMES if left is None else min(_READ_FRAMES, left)
            player.read(frames)
            left = None if left is None else left - frames
            desk.tell_events()
            done = player.position_s / player.duration_s if player.duration_s else 0.0
            progress(Progress(min(1.0, (player.track + done) / max(1, len(player.playlist))), float("nan")))


def _finish(player: Player, wishes: PlayWishes, check: Callable[[], None]) -> int:
    """Separate to the end what is unfinished; gives the exit code."""
    if wishes.finish == "never" or (wishes.save is None and wishes.finish != "exit"):
        return 0
    if not player.unfinished:
        return 0
    try:
        with watched_progress(f"separating the rest of {player.unfinished} song(s); Ctrl-C leaves it") as show:

            def progress(done: Progress) -> None:
                check()
                show(done)

            player.close(finishes=True, progress=progress)
    except KeyboardInterrupt:
        print_note("what is not complete was not saved")
        return _INTERRUPTED
    return 0


def _tell_end(player: Player, desk: PlayDesk, stats: PlayerStats, wishes: PlayWishes, *, is_json: bool) -> None:
    saved = {song: {stem: str(path) for stem, path in stems.items()} for song, stems in player.saved.items()}
    if is_json:
        print_json(
            {
                "output": wishes.output or "none",
                "model": wishes.model,
                "preset": wishes.preset,
                **stats.as_dict(),
                "saved": saved,
                "events": [event.as_dict() for event in desk.events],
            }
        )
        return
    for line in report_lines(stats):
        print_result(line)
    for stems in saved.values():
        for path in stems.values():
            print_result(path)
