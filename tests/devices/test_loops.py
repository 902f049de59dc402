"""Live sessions on real PortAudio streams whose output comes back to their input.

Servers on a shared virtual machine lose frames of their own, so a piece of the signal counts where it was found.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import pytest

from tests.devices.conftest import SCRIPT, Server
from tests.devices.looped import PIECE_S
from tests.devices.pace import Pace

pytestmark = pytest.mark.device

RATE = 48_000
PERIOD = 256
"""Of the JACK server, in frames: the round trip of its loopback."""


def found(result: dict[str, Any]) -> list[dict[str, int]]:
    pieces = [piece for piece in result["pieces"] if piece["delay"] >= 0]
    assert len(pieces) >= 0.5 * len(result["pieces"]) > 0, result
    return pieces


@pytest.mark.parametrize(("block", "engine"), [(256, "rtmixer"), (512, "rtmixer"), (256, "callback")])
def test_unity_gains_give_the_input_back_after_exactly_the_promised_frames(
    jack: Server, block: int, engine: str
) -> None:
    result = jack.run("looped.py", device="loopback", block=block, engine=engine, ring=6)
    parts = result["stats"]["latency"]["parts_frames"]
    assert parts["device_input"] + parts["device_output"] == PERIOD
    pieces = found(result)
    assert {piece["delay"] for piece in pieces} == {result["promised"]}
    assert sum(piece["wrong"] == 0 for piece in pieces) >= 0.5 * len(pieces)


def test_blocks_shorter_than_the_period_of_the_server_work_too(jack: Server) -> None:
    result = jack.run("looped.py", device="loopback", block=64, ring=12)
    assert {piece["delay"] for piece in found(result)} == {result["promised"]}


def test_a_muted_stem_is_taken_away(jack: Server) -> None:
    pieces = found(jack.run("looped.py", device="loopback", mute="drums"))
    assert sorted(piece["gain"] for piece in pieces)[len(pieces) // 2] == 500


def test_latency_is_what_it_was_after_the_program_was_held_up(jack: Server) -> None:
    result = jack.run("looped.py", device="loopback", hold=3.0, seconds=3.0)
    stats = result["stats"]
    assert stats["epochs"] == 2
    assert stats["underruns"] >= 1
    later = result["pieces"][5:]
    assert {piece["delay"] for piece in later if piece["delay"] >= 0} == {result["promised"]}
    assert sum(piece["wrong"] == 0 for piece in later) >= 0.5 * len(later)


def test_a_model_that_stops_for_two_seconds_takes_no_sound_away(jack: Server) -> None:
    result = jack.run("looped.py", device="loopback", stall=2.0, seconds=4.0, ring=6)
    pieces = found(result)
    # All the while the sum of the stems is the delayed input, at the same delay.
    assert {piece["delay"] for piece in pieces} == {result["promised"]}
    assert sum(piece["wrong"] == 0 for piece in pieces) >= 0.5 * len(result["pieces"])
    during = [frame for frame in result["missed"] if RATE <= frame < 3 * RATE]
    assert len(during) > 0.8 * 2 * RATE / PERIOD
    # The model goes on at the third second, and within another one all is on time again.
    assert max(result["missed"]) < 4 * RATE, max(result["missed"])
    assert result["stats"]["epochs"] == 1


def test_threads_that_keep_the_interpreter_busy_take_no_sound_away(jack: Server) -> None:
    result = jack.run("looped.py", device="loopback", burn=1, seconds=4.0)
    pieces = found(result)
    assert {piece["delay"] for piece in pieces} == {result["promised"]}
    assert sum(piece["wrong"] == 0 for piece in pieces) >= 0.5 * len(result["pieces"])
    assert result["stats"]["counters"]["coverage"] >= 0.95


def test_sound_goes_through_a_null_sink_and_its_monitor(pulse: Server) -> None:
    with Pace() as pace:
        result = pulse.run("looped.py", device="va_loop", ring=8, seconds=3.0)
    pieces = found(result)
    # How long a sink holds the sound back differs from one opening to the next, but not within a stream; a server
    # that the machine makes late holds it back for longer from then on.
    steady = pace.steady(result["began_s"], len(result["pieces"]), PIECE_S)
    for is_steady, run in groupby(zip(steady, result["pieces"], strict=True), key=itemgetter(0)):
        assert not is_steady or len({piece["delay"] for _, piece in run if piece["delay"] >= 0}) <= 1, result
    assert abs(pieces[0]["delay"] - result["promised"]) < 4800
    # What the driver alone tells of is an xrun too, and need not be heard.
    lost = result["stats"]["lost_output_frames"] + result["stats"]["lost_input_frames"]
    assert lost == 0 or len(pieces) < len(result["pieces"])


def test_what_is_played_to_a_sink_is_heard_at_another_one(pulse: Server) -> None:
    result = pulse.run("through_sinks.py")
    heard = [delay for delay in result["delays"] if delay >= 0]
    assert len(heard) >= 0.5 * len(result["delays"])
    assert min(heard) > result["stats"]["latency"]["parts_frames"]["processor"]


def test_a_jack_server_that_is_killed_ends_the_session_with_a_clear_message(jack: Server) -> None:
    try:
        result = jack.run("looped.py", device="loopback", kill=jack.pid_file, seconds=5)
    finally:
        jack.start()
    assert result["lost"] == (
        "PortAudio cannot be started again in this process, since an audio server died under it: "
        "leave the program and start it again"
    )


def test_a_pulse_server_that_comes_back_is_taken_up_again(pulse: Server) -> None:
    result = pulse.run("looped.py", device="va_loop", kill=pulse.pid_file, restart=SCRIPT, ring=8, seconds=6.0)
    assert result["lost"] == ""
    assert result["stats"]["returns"] == 1
    later = result["pieces"][-2:]
    assert any(piece["delay"] >= 0 for piece in later), result
