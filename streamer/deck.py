"""What is heard of a playlist, frame by frame: it follows the play head and gives what the mixer makes of the stems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.spec import ModelSpec
from streamer.events import Event, EventLog
from streamer.gap_watch import GapWatch
from streamer.listening import Listening
from streamer.loader import Loader, next_cue
from streamer.mixer import Mixer
from streamer.orders import Orders
from streamer.play_head import Cue, Loop, Run, fade, run_from
from streamer.playlist import Playlist
from streamer.shelf import Shelf
from streamer.stats import Counters
from streamer.track import Track
from streamer.voice import Voice

__all__ = ["Deck", "Gaps"]

F32 = npt.NDArray[np.float32]

Gaps = Literal["auto", "mixture", "silence"]
"""What stands where stems are not there: the song itself, silence, or silence while any stem is not to be heard."""


class Deck:
    """Plays; has no thread and waits for nobody.

    One thread calls ``read``, another one ``load``; ``orders`` may come from any.

    Parameters
    ----------
    playlist, shelf, spec, mixer, events
        What it plays, and by what.
    channels, block_frames : int
    gaps : {"auto", "mixture", "silence"}
    mixture_consistent : bool
    cause : callable
        Says why stems are late.

    Attributes
    ----------
    is_over : bool
        Nothing is left to play.
    counters : Counters
    withheld_frames, waited_frames, silent_frames, jumps : int
        Frames in which silence stood for stems, for a file that was not there, for what lies outside of the tracks and
        in pauses; places that were gone to.
    """

    def __init__(
        self,
        playlist: Playlist,
        shelf: Shelf,
        spec: ModelSpec,
        mixer: Mixer,
        *,
        channels: int,
        block_frames: int,
        events: EventLog,
        gaps: Gaps = "auto",
        mixture_consistent: bool = True,
        cause: Callable[[], str] = str,
    ) -> None:
        self._playlist, self._shelf, self._spec, self._mixer = playlist, shelf, spec, mixer
        self.channels, self._block, self._events = channels, block_frames, events
        self._gaps, self._mixture_consistent = gaps, mixture_consistent
        self._stems = np.zeros((len(spec.output_stems), channels, block_frames), np.float32)
        self._gains = np.zeros(block_frames, np.float32)
        self._steps = np.arange(block_frames, dtype=np.float32)
        self._watch = GapWatch(events, cause)
        self.expects_stems: Callable[[int], bool] = lambda track: True
        """Tells whether stems of a track are still to come; set by whoever makes them."""
        self.is_watched = True
        """Whether it is told when stems are late."""
        self.is_waited_for = False
        """Whoever reads waits for the stems of each frame."""
        self.read_rate: int | None = None
        """Rate of the frames that ``read`` gave last."""
        self.counters = Counters()
        self.withheld_frames = self.waited_frames = self.silent_frames = self.jumps = 0
        self.is_over = False
        self.orders = Orders()
        self.loader = Loader(playlist, shelf, self.orders, self._make, events)
        self._voice: Voice | None = None
        self._run = Run(0, 0)
        self._looped: tuple[int, Loop] | None = None
        self._holds = True

    def _make(self, track: Track, cue: Cue) -> Voice:
        return Voice(
            track,
            cue,
            self._spec,
            channels=self.channels,
            block_frames=self._block,
            mixture_consistent=self._mixture_consistent,
        )

    def load(self) -> bool:
        """Open and read what is due; False if nothing was. One thread calls it."""
        return self.loader.load(self._voice, self._run, waits=self.is_waited_for)

    def close(self) -> None:
        """Close the files; nobody loads or reads any more."""
        self.loader.close()
        if self._voice is not None:
            self._voice.close()

    @property
    def place(self) -> Cue:
        """The frame that is heard next, or was ordered; any thread."""
        order, voice = self.orders.newest, self._voice
        if order is not None:
            return order.cue
        return Cue(0, 0) if voice is None else Cue(voice.cue.track, voice.place)

    @property
    def known_ahead(self) -> int:
        """Frames from the head on whose stems are in memory; any thread."""
        voice = self._voice
        return 0 if voice is None else voice.known_ahead

    @property
    def sample_rate(self) -> int | None:
        """Rate of the frames that ``read`` gives next; None before the first track."""
        return None if self._voice is None else self._voice.track.sample_rate

    def listening(self) -> tuple[Listening | None, Listening | None, Listening | None]:
        """Tell what is heard, what was ordered, and what follows; any thread."""
        voice, ordered, following = self._voice, self.loader.ordered.peek(), self.loader.following.peek()
        heard = None
        if voice is not None:
            end, moves = max(voice.place, self._run.end), not (self._holds or self.is_waited_for)
            heard = Listening(voice.cue.track, voice.place, end, moves, self.is_waited_for)
        return (
            heard,
            self._cued(ordered[1]) if ordered is not None else None,
            self._cued(following) if following is not None else None,
        )

    def _cued(self, voice: Voice) -> Listening:
        return Listening(voice.cue.track, voice.place, self._run_of(voice, rises=True).end, False, self.is_waited_for)

    def _run_of(self, voice: Voice, *, rises: bool) -> Run:
        return run_from(voice.place, voice.track.frames, self.orders.loop_of(voice.cue.track), rises=rises)

    # The reader.

    def read(self, out: F32) -> int:
        """Give the next frames.

        Parameters
        ----------
        out : ndarray of float32, shape (device channels, n)
            Filled as far as is told. Silence stands for pauses and for what is not there.

        Returns
        -------
        int
            ``n``, or less where what follows has another rate.
        """
        frames: int = out.shape[1]
        done, rate = 0, self.sample_rate
        self._heed()
        while done < frames:
            n = self._next_piece(frames - done)
            if self.sample_rate != rate:
                if done:
                    self.read_rate = rate
                    return done
                rate = self.sample_rate
            if n:
                self._render(out[:, done : done + n])
                done += n
                continue
            out[:, done:] = 0.0
            # What was muted meanwhile must not be faded out when the sound goes on.
            self._mixer.settle()
            if self._voice is not None:
                self._voice.settle()
            if self._holds or self.is_over or self._voice is None:
                self.silent_frames += frames - done
            else:
                self.waited_frames += frames - done
            break
        self.read_rate = rate
        return frames

    def ready_frames(self, most: int) -> int | None:
        """Tell how many frames ``read`` would give now; None where it would give silence.

        0 where something is still to come: a file that is being read, or stems where they are waited for.
        """
        self._heed()
        voice, is_ordered = self._voice, self._is_ordered_ready()
        is_silent = voice is None or self._holds
        if voice is not None and not is_silent and voice.place < self._run.end:
            left = self._run.end - voice.place
            # The fade that ends what is heard waits for nothing.
            is_ending = is_ordered or self.orders.is_paused
            known = left if is_ending or not self._awaits(voice) else voice.settled_ahead
            return min(most, left, 1 if voice.is_broken else voice.ready, known, self._block)
        if is_ordered:
            ordered = self.loader.ordered.peek()
            return 0 if ordered is None else self._first_frames(ordered[1])
        if is_silent and (self.orders.is_paused or self.loader.has_nothing):
            return 0 if self.orders.newest is not None else None
        if voice is None:
            return 0
        if self._holds or self.orders.is_paused:
            return 1
        cue = next_cue(voice, self._run, self.orders, self._playlist)
        if voice.place < self._run.natural_end or cue is None:
            return None if self.is_over else 1
        following = self.loader.following.peek()
        if following is None or following.cue != cue or not following.can_begin:
            return 0
        return self._first_frames(following)

    def _first_frames(self, voice: Voice) -> int:
        """Give how many frames may be read at first of a voice that is to begin."""
        if not self._awaits(voice) or voice.place >= voice.track.frames:
            return 1
        return min(1, voice.settled_ahead)

    def _awaits(self, voice: Voice) -> bool:
        return self.is_waited_for and self.expects_stems(voice.cue.track)

    def _heed(self) -> None:
        """Let the run end where an order says so."""
        voice = self._voice
        if voice is None:
            return
        if self.orders.loop is not self._looped:
            self._looped = self.orders.loop
            run = self._run_of(voice, rises=False)
            self._run = replace(run, begin=self._run.begin, rise_frames=self._run.rise_frames)
        if not self._holds and (self.orders.is_paused or self._is_ordered_ready()):
            self._run = self._run.cut_at(voice.place)

    def _is_ordered_ready(self) -> bool:
        order, ordered = self.orders.newest, self.loader.ordered.peek()
        return order is not None and ordered is not None and ordered[0] == order.number and ordered[1].can_begin

    def _next_piece(self, limit: int) -> int:
        """Give how many frames can be rendered now, having gone on to what is to be heard; 0 for silence."""
        while True:
            voice = self._voice
            if voice is None or self._holds:
                if self._is_ordered_ready():
                    self._begin_ordered()
                    voice = self._voice
                if voice is None or self.orders.is_paused:
                    if voice is None and self.loader.has_nothing:
                        self._end()
                    return 0
                self._holds = False
                if voice.place != self._run.begin:
                    self._run = self._run_of(voice, rises=True)
            if voice.place < self._run.end:
                n = min(limit, self._run.end - voice.place, voice.ready, self._block)
                if n or not voice.is_broken:
                    return n
                self._run = replace(self._run, end=voice.place)
            if not self._turn(voice):
                return 0

    def _turn(self, voice: Voice) -> bool:
        """Go on at the end of a run; False where nothing is there to go on with."""
        if self._is_ordered_ready():
            self._begin_ordered()
            return True
        if self.orders.is_paused:
            self._holds = True
            return False
        if voice.place < self._run.natural_end and not voice.is_broken:
            # It was cut for an order that is no longer there.
            self._run = self._run_of(voice, rises=True)
            return True
        cue, following = next_cue(voice, self._run, self.orders, self._playlist), self.loader.following.peek()
        if cue is None:
            self._end()
            return False
        if following is None or following.cue != cue or not following.can_begin:
            return False
        # The loader may have taken it back since, and gives another one.
        following = self.loader.following.take()
        if following is None:
            return False
        self._switch(following, rises=cue.track == voice.cue.track or voice.is_broken)
        return True

    def _begin_ordered(self) -> None:
        ordered = self.loader.ordered.take()
        if ordered is None:
            return
        self.orders.done(ordered[0])
        self.jumps += 1
        self._switch(ordered[1], rises=ordered[1].cue.frame > 0 or self._voice is not None)

    def _switch(self, voice: Voice, *, rises: bool) -> None:
        former, self._voice = self._voice, voice
        self._looped = self.orders.loop
        self.is_over = False
        self._run = self._run_of(voice, rises=rises)
        self._watch.restart()
        if former is not None:
            self.loader.retire(former)
        if former is None or former.cue.track != voice.cue.track:
            name = f"{voice.cue.track + 1} of {len(self._playlist)}, {voice.track.path.name}"
            self._tell("track", f"playing {name}, {voice.track.seconds:.1f} s")

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._tell("ended", "nothing is left to play")

    def _render(self, out: F32) -> None:
        voice, n = self._voice, out.shape[1]
        if voice is None:
            return
        stems, frame = self._stems[..., :n], voice.place
        voice.render(stems, withholds=self._withholds())
        self._mixer.mix(stems, out)
        gains = self._gains[:n]
        if fade(self._run, frame, gains, self._steps):
            for row in out:
                row *= gains
        self.counters.add(voice.rungs, n)
        self.withheld_frames += voice.withheld_frames
        if self.is_watched:
            self._watch.look(voice.rungs, n, voice.track.sample_rate, self.counters.frames)

    def _withholds(self) -> bool:
        if self._gaps != "auto":
            return self._gaps == "silence"
        # A stem that is turned off must not be heard by way of the song that it is in.
        return any([self._mixer.is_turned_off(stem) for stem in self._mixer])

    def _tell(self, kind: Literal["track", "ended"], text: str) -> None:
        self._events.add(Event(kind, self.counters.frames, text))
