"""Drop-in for callers of the widespread training program: its ``demix``, through this project's windows and worker."""

from __future__ import annotations

import contextlib
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.backends.torch_runtime import torch
from engine.errors import BlockError, ConfigurationError, ModelError
from engine.heard import check_audio
from engine.offline import Progress, ProgressCallback, separate_blocks
from engine.recording import MAX_BLOCK_FRAMES
from engine.separator import F32, Separator, StateArrays
from engine.spec import ModelSpec

__all__ = ["demix"]

_RATE = 44_100  # of no consequence: audio is taken and given at the same rate
_OTHER_CUT = "htdemucs"
_CAUSE_CHARACTERS = 300


def demix(
    config: object,
    model: Callable[[torch.Tensor], torch.Tensor],
    mix: npt.ArrayLike | torch.Tensor,
    device: torch.device | str,
    model_type: str,
    pbar: bool = False,
) -> dict[str, F32]:
    """Separate a whole track with a PyTorch module.

    Takes the place of ``utils.model_utils.demix`` of ZFTurbo/Music-Source-Separation-Training (MIT): the same
    arguments, the same dictionary. Windows, crossfade, reflection at the ends and batches are those of the config, and
    so is automatic mixed precision on CUDA. Where that function loses samples, nothing is lost: with one window over
    each frame, with short tracks in batches, with any length. A module that gives values that are not finite is an
    error, not silence. The sums are a window long, not a track.

    A border is what windows overlap by: with a window of W frames and N of them over each, W - W // N. Tracks of up to
    two borders are reflected at their ends here and not there, where a track's first frames are in fewer windows, so
    their stems differ. From two borders and one frame on they are the same.

    Parameters
    ----------
    config : mapping or object with attributes
        ``ConfigDict``, ``DictConfig``, dict, namespace and the like, with ``inference.chunk_size`` or
        ``audio.chunk_size``, ``inference.num_overlap`` (default 4), ``inference.batch_size`` (default 1),
        ``training.instruments``, ``training.target_instrument`` (default None) and ``training.use_amp`` (default True).
        As there, ``inference.normalize`` is the caller's business.
    model : torch.nn.Module
        Used as it is, on its device and in its mode: (batch, channels, frames) to (batch, stems, channels, frames), or
        to (batch, channels, frames) where there is one stem.
    mix : ndarray or Tensor, shape (channels, frames)
        1 or 2 channels, at the model's rate. Samples that are not finite count as silence.
    device : torch.device or str
        Where windows are moved to before the module sees them.
    model_type : str
        Any but ``htdemucs``, which the training program cuts in a way of its own.
    pbar : bool
        Show a bar on standard error where that is a terminal.

    Returns
    -------
    dict of str to ndarray of float32, shape (channels, frames)
        By stem in the config's order: all instruments, or the target alone.

    Raises
    ------
    ConfigurationError
        If ``model_type``, ``device`` or a value of ``config`` cannot be used.
    BlockError
        If ``mix`` has another shape or holds no numbers.
    ModelError
        If the module fails, or gives another shape or values that are not finite.

    Notes
    -----
    Any thread may call it. The module runs on a thread of its own meanwhile.
    """
    if model_type == _OTHER_CUT:
        raise ConfigurationError(
            f"model_type {model_type!r} is cut in a way of its own: separate it with demucs.api, or with the training "
            "program itself; all other types go through here"
        )
    audio = _audio(mix)
    names = _names(config)
    separator = _ModuleSeparator(
        model,
        _placed(device),
        channels=audio.shape[0],
        stems=len(names),
        window_frames=_window(config),
        uses_amp=bool(_setting(config, "training.use_amp", True)),
    )
    stems = np.empty((len(names), *audio.shape), np.float32)
    done = 0
    with _bar(is_shown=pbar) as progress:
        for part in separate_blocks(
            separator,
            (audio[:, n : n + MAX_BLOCK_FRAMES] for n in range(0, audio.shape[1], MAX_BLOCK_FRAMES)),
            _RATE,
            channels=audio.shape[0],
            frames=audio.shape[1],
            overlap=_count(config, "inference.num_overlap", 4),
            batch_size=_count(config, "inference.batch_size", 1),
            progress=progress,
        ):
            # Behind the module's stems there may be one more, made by subtraction.
            stems[..., done : done + part.shape[-1]] = part[: len(names)]
            done += part.shape[-1]
    return dict(zip(names, stems, strict=True))


class _ModuleSeparator(Separator):
    """A module on any device as a model of the engine."""

    def __init__(
        self,
        module: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
        *,
        channels: int,
        stems: int,
        window_frames: int,
        uses_amp: bool,
    ) -> None:
        self._module = module
        self._device = device
        self._uses_amp = uses_amp and device.type == "cuda"
        self.spec = ModelSpec(
            name=type(module).__name__,
            sample_rate=_RATE,
            channels=channels,
            # The engine writes files by these names and is strict about them; a dictionary's keys are free.
            stems=tuple(f"stem {n}" for n in range(stems)),
            stateful=False,
            window_frames=window_frames,
            hop_frames=window_frames,
        )

    def process(self, windows: F32, states: StateArrays) -> tuple[F32, StateArrays]:
        """Separate a batch; see `Separator.process`."""
        try:
            with torch.inference_mode(), self._precision():
                # A copy, since a module may write into what it is given.
                given = self._module(torch.tensor(windows, device=self._device))
        except Exception as error:  # the module is foreign code: whatever it raises is told, with its cause attached
            cause = " ".join(str(error).split())[:_CAUSE_CHARACTERS]
            raise ModelError(f"{type(error).__name__}: {cause}") from error
        return self._stems(given, windows.shape), ()

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(self._device.type) if self._uses_amp else contextlib.nullcontext()

    def _stems(self, given: object, heard: tuple[int, ...]) -> F32:
        batch, channels, frames = heard
        count = len(self.spec.stems)
        shape = tuple(given.shape) if isinstance(given, torch.Tensor) else ()
        wanted = (batch, channels) if count == 1 and len(shape) == 3 else (batch, count, channels)
        if not isinstance(given, torch.Tensor) or shape[:-1] != wanted or shape[-1] < frames:
            found = f"shape {shape}" if shape else type(given).__name__
            raise ModelError(
                f"for windows of shape {heard} it gave {found}, where the config promises "
                f"{(batch, count, channels, frames)}: give the config that belongs to the module"
            )
        stems: F32 = given[..., :frames].to("cpu", torch.float32).numpy()
        return stems.reshape(batch, count, channels, frames)


def _audio(mix: npt.ArrayLike | torch.Tensor) -> F32:
    if isinstance(mix, torch.Tensor):
        mix = mix.detach().cpu()
        # NumPy does not know all kinds of floats that PyTorch knows.
        mix = mix.to(torch.float32) if mix.is_floating_point() else mix
    try:
        values: npt.NDArray[Any] = np.asarray(mix)
    except (ValueError, TypeError) as error:
        raise BlockError(
            f"mix is no array ({error}): give (channels, frames), each channel as long as the other"
        ) from error
    if values.dtype.kind not in "fiu":
        raise BlockError(f"mix must hold numbers, not {values.dtype}: give an array or a tensor of floats")
    with np.errstate(over="ignore"):
        audio: F32 = values.astype(np.float32, copy=False)
    check_audio(audio)
    return audio


def _placed(device: torch.device | str) -> torch.device:
    """Name the device in full: the current one belongs to a thread, and the module runs on another."""
    try:
        place = torch.device(device)
        if place.type == "cuda" and place.index is None:
            place = torch.device("cuda", torch.cuda.current_device())
        torch.empty(0, device=place)
    except Exception as error:  # each kind of device has errors of its own
        cause = " ".join(str(error).split())[:_CAUSE_CHARACTERS]
        raise ConfigurationError(
            f"device {device!r} cannot be used ({cause}): give one that PyTorch has here"
        ) from error
    return place


def _names(config: object) -> tuple[str, ...]:
    target = _setting(config, "training.target_instrument", None)
    if target is not None and not isinstance(target, str | int):
        raise ConfigurationError(
            f"config has training.target_instrument {reprlib.repr(target)}: it must be a stem's name, or None"
        )
    if target is not None:
        return (str(target),)
    given = _setting(config, "training.instruments", ())
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    names = tuple(str(name) for name in given if isinstance(name, str | int)) if is_list else ()
    if not names or len(names) != len(given) or len(set(names)) != len(names):
        raise ConfigurationError(
            f"config has training.instruments {reprlib.repr(given)}: it must be a list of the stems' names, each once"
        )
    return names


def _window(config: object) -> int:
    key = "audio.chunk_size" if _setting(config, "inference.chunk_size", None) is None else "inference.chunk_size"
    return _count(config, key, None)


def _count(config: object, key: str, default: int | None) -> int:
    value = _setting(config, key, default)
    if value is None:
        raise ConfigurationError(f"config has no {key}: add it, a whole number from 1")
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigurationError(f"config has {key} {value!r}: it must be a whole number from 1")
    return int(value)


def _setting(config: object, key: str, default: object) -> Any:
    """Look a dotted key up in mappings and objects; what is missing, or None on the way, is the default."""
    place: Any = config
    for name in key.split("."):
        place = place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)
        if place is None:
            return default
    return place


@contextlib.contextmanager
def _bar(*, is_shown: bool) -> Iterator[ProgressCallback | None]:
    if not is_shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Bars(*columns, console=Console(file=sys.stderr), redirect_stdout=False, transient=True) as bars:
        task = bars.add_task("separating", total=1.0)

        def move(done: Progress) -> None:
            bars.update(task, completed=done.fraction)

        yield move
