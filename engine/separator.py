"""The contract between a model and the engine."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import ModelError
from engine.overlap import OverlapAdd
from engine.plan import WindowPlan
from engine.spec import ModelSpec

if TYPE_CHECKING:
    from engine.progress import Cancel, ProgressCallback

__all__ = ["F32", "Runner", "Separator", "StateArrays"]

F32 = npt.NDArray[np.float32]
StateArrays = tuple[npt.NDArray[Any], ...]


class Separator(ABC):
    """A loaded model, immutable and free to share between threads and streams.

    A model of one's own needs ``spec`` and ``process``; it need not be thread-safe, since the engine calls
    ``process`` from one thread at a time. A back-end that wants its own buffers overrides ``runner``.
    """

    spec: ModelSpec

    @abstractmethod
    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch.

        Parameters
        ----------
        windows : ndarray of float32, shape (batch, channels, window_frames)
            Must not be written to.
        states : tuple of ndarray, each (batch, *shape)
            In the order of ``spec.states``; empty for windowed models. Must not be written to.

        Returns
        -------
        stems : ndarray of float32, shape (batch, stems, channels, window_frames)
            Frame i of a windowed model's output belongs to frame i of its window. A stateful model's
            output lags by ``spec.lookahead_frames``.
        states : tuple of ndarray
            What to pass with the next hop of the same streams. Both are copied at once by the caller.
        """

    def separate(
        self,
        audio: Any,
        sample_rate: int,
        *,
        overlap: int | None = None,
        batch_size: int = 1,
        stems: Sequence[str] | None = None,
        progress: ProgressCallback | None = None,
        cancel: Cancel | None = None,
    ) -> Any:
        """Separate a whole recording: arrays in, arrays out; tensors in, tensors out.

        Parameters
        ----------
        audio : ndarray or torch.Tensor of float, shape (channels, frames) or (frames,)
            1 or 2 channels, any number of frames.
        sample_rate : int
            Of ``audio``, in Hz.
        overlap, batch_size, stems, progress, cancel
            As in `engine.offline.separate`.

        Returns
        -------
        ndarray or torch.Tensor of float32, shape (stems, channels, frames) or (stems, frames)
            In the order of ``spec.output_stems``, or of ``stems``, at the input's rate, length and level. A tensor
            is on the device of ``audio``.

        Raises
        ------
        BlockError
            If ``audio`` has another shape or type.
        ConfigurationError
            If a stem is not known or a setting is out of range.
        ModelError
            If the model fails.
        concurrent.futures.CancelledError
            If ``cancel`` is set meanwhile.

        Examples
        --------
        >>> stems = load_separator("spatial").separate(audio, 44_100)  # doctest: +SKIP
        """
        from engine.offline import separate

        # Whoever holds a tensor has imported torch.
        torch = sys.modules.get("torch")
        is_tensor = torch is not None and isinstance(audio, torch.Tensor)
        heard = _as_array(audio) if is_tensor else audio
        is_flat = isinstance(heard, np.ndarray) and heard.ndim == 1
        separated = separate(
            self,
            heard[None] if is_flat else heard,
            sample_rate,
            overlap=overlap,
            batch_size=batch_size,
            stems=stems,
            progress=progress,
            cancel=cancel,
        )
        separated = separated[:, 0] if is_flat else separated
        return torch.from_numpy(separated).to(audio.device) if torch is not None and is_tensor else separated

    def runner(self, batch_size: int, window_frames: int) -> Runner:
        """Allocate what one thread needs to run batches of up to ``batch_size`` windows."""
        return Runner(self, batch_size, window_frames)

    def overlap_add(self, plan: WindowPlan, stems: int, *, keep_provisional: bool) -> OverlapAdd:
        """Allocate what adds up the windows of one stream, of which it is given a row of a runner's ``outcomes``.

        Parameters
        ----------
        plan : WindowPlan
        stems : int
            How many a row has.
        keep_provisional : bool
            Whether ``provisional`` is filled.
        """
        return OverlapAdd(plan, stems, self.spec.channels, keep_provisional=keep_provisional)

    def release(self) -> None:  # noqa: B027 - most models hold nothing that needs freeing
        """Free what the model holds; it must not be used afterwards."""

    @property
    def _lock(self) -> threading.Lock:
        # Created on first use so that subclasses need not call an initialiser.
        lock: threading.Lock = self.__dict__.setdefault("_process_lock", threading.Lock())
        return lock


class Runner:
    """One thread's buffers around a separator: rows in, rows out, nothing allocated in between.

    The caller fills ``windows[:n]`` and ``states[i][:n]``, calls ``run(n)`` and reads ``stems[:n]`` and the
    updated ``states[i][:n]``. A runner belongs to one thread.

    Attributes
    ----------
    windows : ndarray of float32, shape (batch_size, channels, window_frames)
    stems : ndarray of float32, shape (batch_size, stems, channels, window_frames)
    states : tuple of ndarray, each (batch_size, *shape)
    """

    def __init__(self, separator: Separator, batch_size: int, window_frames: int) -> None:
        spec = separator.spec
        self.separator = separator
        self.batch_size = batch_size
        self.windows: F32 = np.zeros((batch_size, spec.channels, window_frames), np.float32)
        self.stems: F32 = np.zeros((batch_size, len(spec.stems), spec.channels, window_frames), np.float32)
        self.states: StateArrays = spec.initial_states(batch_size)

    @property
    def outcomes(self) -> Any:
        """What ``stems`` holds, where it was computed: that very array, or a tensor on the model's device.

        It is for what `Separator.overlap_add` gave: what is added up there need not be copied first.
        """
        return self.stems

    def blank_outcomes(self, rows: int, stems: int) -> Any:
        """Allocate zeros of the kind that ``outcomes`` is, shape (rows, stems, channels, window_frames)."""
        return np.zeros((rows, stems, *self.windows.shape[1:]), np.float32)

    def on_host(self, outcomes: Any) -> F32:
        """Give an array of what is of the kind that ``outcomes`` is."""
        array: F32 = outcomes
        return array

    def run(self, n: int) -> None:
        """Separate the first ``n`` rows in place.

        Raises
        ------
        ModelError
            If the model gives other shapes than its spec promises. Errors of the model itself pass through.
        """
        with self.separator._lock:
            stems, states = self.separator.process(self.windows[:n], tuple(s[:n] for s in self.states))
        if stems.shape != self.stems[:n].shape:
            raise ModelError(
                f"model {self.separator.spec.name!r} gave stems of shape {stems.shape}: "
                f"its spec promises {self.stems[:n].shape}"
            )
        if len(states) != len(self.states):
            raise ModelError(
                f"model {self.separator.spec.name!r} gave {len(states)} states: its spec promises {len(self.states)}"
            )
        np.copyto(self.stems[:n], stems, casting="same_kind")
        for kept, new in zip(self.states, states, strict=True):
            np.copyto(kept[:n], new, casting="same_kind")


def _as_array(tensor: Any) -> npt.NDArray[Any]:
    # NumPy has no bfloat16; integers are left for whoever refuses them.
    array: npt.NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy(force=True)
    return array
