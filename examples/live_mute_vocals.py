"""Live sound with one stem taken away, from a microphone or from what the computer plays.

    python examples/live_mute_vocals.py --list-devices
    python examples/live_mute_vocals.py --input mic:interface --output headphones
    python examples/live_mute_vocals.py --input loopback --stem drums --seconds 60

A microphone that hears the loudspeakers it feeds howls: use headphones, and say so with --allow-feedback where the
devices' names do not.
"""

from __future__ import annotations

import argparse
import sys

from engine import StemstreamError, load_separator
from streamer import LiveSession, StemProcessor
from streamer.audio.devices import list_devices


def main() -> int:
    """Play what a device hears without one of its stems, until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-i", "--input", default="mic", help="mic, mic:NAME, mic:3, loopback or loopback:NAME")
    parser.add_argument("-o", "--output", help="name or number of a device; else the default")
    parser.add_argument("-l", "--list-devices", action="store_true", help="list the devices and leave")
    parser.add_argument("-m", "--model", default="spatial-low", help="name or path of a model (default spatial-low)")
    parser.add_argument("-b", "--block-frames", type=int, default=256, help="frames in a block (default 256)")
    parser.add_argument("--stem", default="vocals", help="the stem to mute (default vocals)")
    parser.add_argument("--allow-feedback", action="store_true", help="also with an input that hears the output")
    parser.add_argument("--seconds", type=float, help="how long; left out: until Ctrl-C")
    arguments = parser.parse_args()
    try:
        if arguments.list_devices:
            print(*list_devices(), sep="\n")
            return 0
        processor = StemProcessor(load_separator(arguments.model), realtime=True, priority=True)
        session = LiveSession(
            processor,
            source=arguments.input,
            output=arguments.output,
            block_frames=arguments.block_frames,
            allow_feedback=arguments.allow_feedback,
        )
        with session:
            session.mixer[arguments.stem].mute = True
            print(f"from {session.input} to {session.output} without {arguments.stem}; Ctrl-C ends it")
            print(f"latency {session.latency}", flush=True)
            wait(session, arguments.seconds)
    except StemstreamError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    stats = session.stats()
    print(f"misses  {stats.processor.misses} of {stats.blocks} blocks, coverage {100 * stats.processor.coverage:.2f} %")
    print(f"xruns   {stats.xruns}, {stats.lost_frames} of {stats.frames} frames lost")
    return 0


def wait(session: LiveSession, seconds: float | None) -> None:
    """Return at the end of the time or at Ctrl-C; raise what ended the session before."""
    try:
        session.wait(seconds)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main())
