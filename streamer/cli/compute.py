"""``--device``, ``--backend`` and ``--precision``: a model on what is asked for, or on what is fastest here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.compute import AUTO, Compute, check_words
from engine.errors import ConfigurationError
from streamer.cli.terminal import print_note

if TYPE_CHECKING:
    from engine.compute_choice import Choice
    from engine.separator import Separator

__all__ = ["check_words", "load_chosen", "parse_batch_size", "precision_mark"]


def load_chosen(
    model: str, config: Path | None, *, device: str, backend: str, precision: str
) -> tuple[Separator, Choice]:
    """Load a model on what the options say; what is measured and chosen is told on standard error.

    Raises
    ------
    ConfigurationError
        If a word is not known.
    ModelError
        If the model cannot be loaded, or this machine lacks what is asked for.
    """
    check_words(device, backend, precision)
    from engine.compute_choice import load_fastest

    return load_fastest(model, config=config, device=device, backend=backend, precision=precision, tell=print_note)


def parse_batch_size(text: str) -> int | None:
    """Give the number that ``--batch-size`` names; None for ``auto``.

    Raises
    ------
    ConfigurationError
        If it is neither.
    """
    if text == AUTO:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(f"--batch-size {text!r} cannot be used: give a whole number from 1, or auto") from None


def precision_mark(compute: Compute) -> str:
    """Give what tells stems made in this precision from those in fp32; nothing for fp32 itself."""
    return "" if compute.precision == "fp32" else f" in {compute.precision}"
