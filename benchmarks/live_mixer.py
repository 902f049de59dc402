"""How soon a fader is heard: from the moment a program mutes the mix until half of it is gone in what comes back.

    .ci/virtual-audio start jack && eval "$(.ci/virtual-audio env)"
    python benchmarks/live_mixer.py --device loopback

The session plays a steady tone to a device that loops back. A mute is set at any moment; its effect is found in the
captured sound, on the frames that the session counts; the press counts from the end of the block before it, so this is
the longest that it can be. Ring and device lie between and are reported apart.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer import LiveSession, StemProcessor
from streamer.cli.machine import describe_machine
from streamer.testing import IdentitySeparator

F32 = npt.NDArray[np.float32]

RATE = 48_000
_LEVEL = 0.5
_APART_S = 0.4


class Tone(StemProcessor):
    """Hears a tone in place of the input, and keeps what the device brought with the moment of each block."""

    def __init__(self, seconds: float) -> None:
        super().__init__(IdentitySeparator(sample_rate=RATE), realtime=True, mixture_consistent=True)
        self.heard = np.zeros(round(seconds * RATE), np.float32)
        self.frames = 0

    def process(self, block: npt.NDArray[Any], out: F32 | None = None) -> F32:
        """Keep the block and hear the tone."""
        frames = block.shape[1]
        self.heard[self.frames : self.frames + frames] = block[0]
        self.frames += frames
        return super().process(np.full_like(block, _LEVEL), out)


def changes(heard: F32, presses: list[int]) -> list[int]:
    """Give, for each press at that frame, how many frames later half of the change was heard; -1 for never."""
    found = []
    for number, press in enumerate(presses):
        muted = number % 2 == 0
        rest = heard[press : press + round(_APART_S * RATE)]
        crossed = np.flatnonzero(rest < _LEVEL / 2 if muted else rest > _LEVEL / 2)
        found.append(int(crossed[0]) if len(crossed) else -1)
    return found


def main() -> int:
    """Press and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", required=True)
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--presses", type=int, default=40)
    arguments = parser.parse_args()
    processor = Tone(_APART_S * (arguments.presses + 6))
    presses = []
    random = np.random.default_rng(0)
    with LiveSession(
        processor, source=f"mic:{arguments.device}", output=arguments.device, block_frames=arguments.block
    ) as session:
        session.wait(2 * _APART_S)
        for number in range(arguments.presses):
            for stem in session.mixer:
                session.mixer[stem].mute = number % 2 == 0
            presses.append(processor.frames)
            time.sleep(_APART_S * random.uniform(0.8, 1.0))
        latency = session.latency
    later = np.array([frames for frames in changes(processor.heard, presses) if frames >= 0])
    between = latency.ring_frames + latency.device_frames
    own = 1000 * (later - between) / RATE
    print(describe_machine(), file=sys.stderr)
    print(f"{len(later)} of {len(presses)} changes found; blocks of {arguments.block} frames")
    print(
        f"press to sound     median {1000 * np.median(later) / RATE:.1f} ms, longest {1000 * later.max() / RATE:.1f} ms"
    )
    print(f"ring and device    {1000 * between / RATE:.1f} ms of it")
    print(f"beyond them        median {np.median(own):.1f} ms, longest {own.max():.1f} ms, half of the ramp included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
