"""The command line. Nothing in the project imports it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; left out: those of the process.

    Returns
    -------
    int
        The exit code. Errors are told in one line on standard error, with a traceback only under ``--debug``.
    """
    try:
        from streamer.cli.app import run
    except ImportError as error:
        print(f"error: stemstream is not whole ({error}): {_diagnosis()}", file=sys.stderr)
        return _FAILED
    return run(arguments)


def _diagnosis() -> str:
    """Say why the project's own modules, or a package they need, cannot be imported; needs none of them."""
    from streamer.cli.facts import import_facts
    from streamer.cli.findings import check_import

    for finding in (check_import(import_facts(name)) for name in ("engine", "streamer")):
        if finding.status == "fail":
            return f"{finding.topic} {finding.message}: {finding.remedy}"
    return "run pip install --force-reinstall stemstream"
