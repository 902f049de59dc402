"""``--device``, ``--backend`` and ``--precision``: a model on what is asked for, or on what is fastest here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.compute import AUTO, Compute, check_words
from engine.errors import ConfigurationError
from streamer.cli.terminal import print_note

if TYPE_CHECKING:
    from engine.compute_choice import Choice
    from engine.separator import Separator

__all__ = ["ComputeWish", "load_chosen", "parse_batch_size", "precision_mark"]

_MAX_BATCH = 1024


@dataclass(frozen=True)
class ComputeWish:
    """What the three options say.

    Raises
    ------
    ConfigurationError
        If a word is not known.
    """

    device: str = AUTO
    backend: str = AUTO
    precision: str = AUTO

    def __post_init__(self) -> None:
        check_words(self.device, self.backend, self.precision)


def load_chosen(model: str, config: Path | None, wish: ComputeWish) -> tuple[Separator, Choice]:
    """Load a model on what the options say; what is measured and chosen is told on standard error.

    Raises
    ------
    ModelError
        If the model cannot be loaded, or this machine lacks what is asked for.
    """
    from engine.compute_choice import load_fastest

    return load_fastest(
        model,
        config=config,
        device=wish.device,
        backend=wish.backend,
        precision=wish.precision,
        tell=print_note,
    )


def parse_batch_size(text: str) -> int | None:
    """Give the number that ``--batch-size`` names; None for ``auto``.

    Raises
    ------
    ConfigurationError
        If it is neither, or out of range.
    """
    if text == AUTO:
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_BATCH:
        return int(text)
    raise ConfigurationError(
        f"--batch-size {text!r} cannot be used: give a whole number from 1 to {_MAX_BATCH}, or auto"
    )


def precision_mark(wish: ComputeWish, compute: Compute) -> str:
    """Give what tells stems made in this precision from those in fp32; nothing for fp32 itself.

    What a measurement chose is one kind, whatever it was: a night's work must not be done again because another
    measurement chose otherwise.
    """
    if wish.precision == AUTO:
        return "" if compute.backend == "onnx" else " in the fastest precision"
    return "" if compute.precision == "fp32" else f" in {compute.precision}"
