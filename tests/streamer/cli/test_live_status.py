"""What a live session says of itself, word for word."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from engine.priority import PriorityReport
from streamer.audio.drift import DriftStats
from streamer.cli import live_status
from streamer.cli.live_status import StatusLine, report_lines, status_text, strips_text
from streamer.live_stats import LiveStats
from streamer.mixer import Mixer
from streamer.recorder import RecorderStats
from tests.streamer.scripted_device import RATE, ScriptedDevice
from tests.streamer.scripted_session import run, session_on


@pytest.fixture
def stats(device: ScriptedDevice) -> LiveStats:
    """Counts of a second, with some of each kind of failure."""
    session = session_on(device)
    run(session, device, RATE)
    counted = session.stats()
    processor = replace(
        counted.processor,
        blocks=190,
        misses=3,
        coverage=0.98765,
        compute_p50_s=0.00123,
        compute_p99_s=0.0064,
        compute_max_s=0.0123,
    )
    return replace(
        counted,
        processor=processor,
        frames=48_640,
        blocks=190,
        xruns=3,
        underruns=2,
        overflows=1,
        lost_output_frames=500,
        lost_input_frames=12,
        clipped_samples=7,
        measured=replace(counted.measured, blocks=190),
        priorities=(),
    )


def test_the_status_is_one_line_with_one_number_per_failure(stats: LiveStats) -> None:
    assert status_text(stats) == (
        f"{1000 * stats.latency.total_s:.1f} ms | model 6.4 of 21.3 ms (70 % free) | misses 3 | coverage 98.8 % | "
        "xruns 3 | clipped 7"
    )


def test_until_a_block_has_come_in_time_the_latency_is_a_promise(stats: LiveStats) -> None:
    late = replace(stats, measured=replace(stats.measured, blocks=0, late_blocks=190))
    assert status_text(late).startswith(f"{1000 * stats.latency.total_s:.1f} ms promised | ")
    assert report_lines(late)[1] == "measured  nothing: of 190 blocks none came in time"


def test_late_blocks_are_told_apart_from_those_that_were_measured(stats: LiveStats) -> None:
    some = replace(stats, measured=replace(stats.measured, late_blocks=4))
    assert report_lines(some)[1].endswith(" frames over the newest 190 blocks; 4 more came late")


def test_several_takes_are_told_with_their_sum(stats: LiveStats) -> None:
    kept = RecorderStats("closed", RATE, 0, 0, None)
    assert "recorded  1.0 s in 2 takes, 0 frames lost" in report_lines(replace(stats, recording=kept, takes=2))
    assert "recorded  1.0 s, 0 frames lost" in report_lines(replace(stats, recording=kept, takes=1))


def test_nothing_is_shown_where_standard_error_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with StatusLine() as status:
        status.show("59 ms")
    assert not status.is_shown


def test_before_the_first_window_the_status_knows_no_head_room(stats: LiveStats) -> None:
    fresh = replace(stats, processor=replace(stats.processor, compute_p99_s=0.0))
    assert "| model 0.0 of 21.3 ms | misses" in status_text(fresh)


def test_the_report_says_all_that_is_to_be_known(stats: LiveStats) -> None:
    total = stats.latency.total_frames
    assert report_lines(stats) == [
        f"latency   {stats.latency}",
        f"measured  {1000 * total / RATE:.1f} ms, {total} frames over the newest 190 blocks",
        "length    1.0 s, 190 blocks, 1 epoch(s)",
        "misses    3 of 190 blocks",
        "coverage  98.77 % of the sound was separated",
        "model     p50 1.23 ms, p99 6.40 ms, max 12.30 ms for a hop of 21.33 ms",
        "xruns     3 (2 underruns, 1 overflows), 512 frames lost",
        "clipped   7 samples beyond full scale",
    ]


def test_the_report_tells_of_clocks_recording_and_priorities_where_there_are_any(stats: LiveStats) -> None:
    fuller = replace(
        stats,
        drift=DriftStats(ppm=-12.34, max_cents=0.056),
        recording=RecorderStats("error", 96_000, 480, 1, "the disk is full"),
        priorities=(PriorityReport("pump", "SCHED_FIFO 4", True, "SCHED_FIFO 4"),),
    )
    assert report_lines(fuller)[8:] == [
        "clocks    input -12.3 ppm against the output, pitch off by at most 0.06 cents",
        "recorded  2.0 s, 480 frames lost; the disk is full",
        "priority  pump: SCHED_FIFO 4",
    ]
    well = replace(stats, recording=RecorderStats("closed", 48_000, 0, 0, None))
    assert report_lines(well)[8:] == ["recorded  1.0 s, 0 frames lost"]


def test_stems_are_shown_with_their_keys_and_what_is_set() -> None:
    mixer = Mixer(("vocals", "drums", "bass", "other"), channels=2, sample_rate=RATE, max_block_frames=256)
    assert strips_text(mixer) == "1 vocals  2 drums  3 bass  4 other"
    mixer["vocals"].mute = True
    mixer["drums"].solo = True
    mixer["drums"].gain_db = 3.0
    mixer["bass"].gain_db = -12.0
    mixer["other"].gain_db = float("-inf")
    mixer.bypass = True
    assert strips_text(mixer, 1) == "1 vocals muted  [2 drums solo +3 dB]  3 bass -12 dB  4 other off  BYPASS"


# The line itself


class Screen(io.StringIO):
    """Standard error where it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    shown = Screen()
    monkeypatch.setattr(live_status, "sys", SimpleNamespace(stderr=shown))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    return shown


def test_the_line_is_replaced_cut_to_the_width_and_taken_away(screen: Screen) -> None:
    with StatusLine() as line:
        assert line.is_shown
        line.show("short")
        line.show("short")
        line.show("longer than twenty columns")
    assert screen.getvalue() == "\r\x1b[Kshort\r\x1b[Klonger than twenty \r\x1b[K"


def test_the_line_is_taken_away_after_an_error_too_and_only_once(screen: Screen) -> None:
    def fail(line: StatusLine) -> None:
        line.show("short")
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"), StatusLine() as line:
        fail(line)
    line.clear()
    assert screen.getvalue() == "\r\x1b[Kshort\r\x1b[K"


def test_on_a_terminal_its_own_width_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    import struct
    import termios

    far_end, descriptor = os.openpty()
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    with os.fdopen(descriptor, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(live_status, "sys", SimpleNamespace(stderr=terminal))
        monkeypatch.setattr(sys, "__stdout__", terminal)
        with StatusLine() as line:
            line.show("x" * 100)
        shown = os.read(far_end, 1000).decode()
    os.close(far_end)
    assert shown.count("x") == 29


@pytest.mark.parametrize("case", ["no terminal", "a dumb one"])
def test_elsewhere_nothing_is_written(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    shown = io.StringIO() if case == "no terminal" else Screen()
    monkeypatch.setattr(live_status, "sys", SimpleNamespace(stderr=shown))
    monkeypatch.setenv("TERM", "xterm" if case == "no terminal" else "dumb")
    with StatusLine() as line:
        assert not line.is_shown
        line.show("short")
    assert shown.getvalue() == ""
