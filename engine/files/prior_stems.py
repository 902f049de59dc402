"""What is to become of stem files that are there already: taken as done, made again, or left to whom they belong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import ConfigurationError, OutputError
from engine.files.provenance import Expected

__all__ = ["check_not_input", "done_before"]


def check_not_input(path: str | os.PathLike[str], outputs: Mapping[str, Path]) -> None:
    """Refuse outputs one of which is the input, under whatever name.

    Raises
    ------
    ConfigurationError
    """
    for stem, output in outputs.items():
        if output.exists() and os.path.samefile(path, output):
            raise ConfigurationError(
                f"stem {stem!r} of {os.fspath(path)!r} would replace the input {str(output)!r}: "
                "choose another --out or --filename"
            )


def done_before(outputs: Mapping[str, Path], expected: Mapping[str, Expected]) -> tuple[bool, str]:
    """Tell whether all outputs are there as expected, and otherwise why some that are there are not.

    Parameters
    ----------
    outputs : mapping of str to Path
    expected : mapping of str to Expected
        By the same stems.

    Returns
    -------
    is_done : bool
    why_not : str
        Empty where no output is there.

    Raises
    ------
    OutputError
        If a file in the place of an output is not a stem of this input: it is not ours to replace.
    """
    # A link that leads nowhere is somebody's too.
    there = {stem: output for stem, output in outputs.items() if os.path.lexists(output)}
    for stem, output in there.items():
        foreign = expected[stem].foreign(output)
        if foreign is not None:
            raise OutputError(
                f"{str(output)!r} is there and {foreign}: move it away, choose another --out or --filename, or replace "
                "it with --overwrite"
            )
    for stem, output in there.items():
        difference = expected[stem].difference(output)
        if difference is not None:
            return False, f"{str(output)!r} {difference}"
    if there and len(there) < len(outputs):
        missing = next(output for stem, output in outputs.items() if stem not in there)
        return False, f"{str(missing)!r} is missing"
    return bool(there), ""
