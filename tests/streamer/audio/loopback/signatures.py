"""Signatures in one form: of what runs, and of what is written in a source file."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["parameters_of", "parameters_written"]


def parameters_of(function: Callable[..., Any]) -> str:
    """Give the parameters in order: ``*`` before those that need their name, ``=`` after those with a default."""
    parts: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(parameter.name + ("" if parameter.default is parameter.empty else "="))
    return ", ".join(parts)


def parameters_written(source: Path, name: str) -> str:
    """Give the same of ``function`` or ``Class.function`` as a source file has it, without running it."""
    body: list[ast.stmt] = ast.parse(source.read_text()).body
    found: ast.stmt | None = None
    for part in name.split("."):
        found = next(n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == part)
        body = found.body
    assert isinstance(found, ast.FunctionDef)
    given = found.args
    first_default = len(given.args) - len(given.defaults)
    parts = [arg.arg + ("=" if n >= first_default else "") for n, arg in enumerate(given.args)]
    if given.kwonlyargs:
        parts.append("*")
        parts += [a.arg + ("" if d is None else "=") for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return ", ".join(parts)
