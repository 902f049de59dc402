"""Puts a report's contents, its look and its scripts into one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

__all__ = ["filled_page", "report_page"]

_SCRIPTS = ("format", "colours", "theme", "spectrograms", "player", "mixer", "facts", "blocks", "main")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def report_page(contents: Mapping[str, Any]) -> str:
    """Make the page of a session.

    Parameters
    ----------
    contents : mapping
        What ``report_contents`` gives.
    """
    return filled_page(contents, template="page.html", styles=("style.css",), scripts=_SCRIPTS)


def filled_page(contents: Mapping[str, Any], *, template: str, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Put contents, styles and scripts into a template.

    Nothing of the contents can become code: they stand in a block of JSON without a single ``<``, a script puts them
    in place as text, and the page's own policy lets no other script or style in, and no request out.

    Parameters
    ----------
    contents : mapping
        Plain values; ``title`` is the page's.
    template : str
        File among the assets with slots for ``policy``, ``title``, ``style``, ``contents`` and ``script``.
    styles : sequence of str
        Files among the assets.
    scripts : sequence of str
        The same, without their ending.
    """
    style = "\n".join(_part(name) for name in styles)
    # A script of the module kind keeps its names to itself and runs when the page is there.
    script = "\n".join(_part(f"{name}.js") for name in scripts)
    filling = {
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_source(script)}",
                f"style-src {_source(style)}",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "title": html.escape(_encodable(str(contents["title"]))),
        "style": style,
        "contents": _embedded(contents),
        "script": script,
    }
    # Filled in one pass, so that no name that looks like a slot is taken for one.
    return _SLOT.sub(lambda slot: filling[slot[1]], _part(template))


def _part(name: str) -> str:
    return (files("streamer.report") / "assets" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(contents: Mapping[str, Any]) -> str:
    text = json.dumps(contents, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _encodable(text: str) -> str:
    # Names of files need not be text.
    return text.encode("utf-8", "replace").decode()
