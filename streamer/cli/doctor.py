"""``stemstream doctor``: whether everything that stemstream needs works here."""

from __future__ import annotations

from streamer.cli.options import Debug, Json
from streamer.cli.terminal import print_json, print_result

__all__ = ["doctor"]

_FAILED = 1


def doctor(json: Json = False, debug: Debug = False) -> int:
    """Look at what stemstream needs and say what to do where something is missing.

    The exit code is 1 if anything fails; what only live sound lacks is a warning. The embedded model is run for a
    second, and no sound device is opened.
    """
    # Takes time to load, which no other command should spend.
    from streamer.cli.examination import examine
    from streamer.cli.machine import describe_machine, installed_versions

    findings = examine()
    has_failed = any(finding.status == "fail" for finding in findings)
    if json:
        print_json(
            {
                "healthy": not has_failed,
                "findings": [finding.as_dict() for finding in findings],
                "machine": describe_machine(),
                "versions": installed_versions(),
            }
        )
    else:
        for finding in findings:
            print_result(f"{finding.status:<5} {finding.topic:<16} {finding.message}")
            if finding.remedy:
                print_result(f"      {'':<16} remedy: {finding.remedy}")
    return _FAILED if has_failed else 0
