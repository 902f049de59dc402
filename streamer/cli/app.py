"""The command ``stemstream``: its parts, and how every way of ending becomes an exit code and one line."""

from __future__ import annotations

import inspect
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from engine.errors import StemstreamError
from engine.machine import package_version
from streamer.cli import cache, demo, devices, doctor, export, latency, live, model_files, models, play, separate
from streamer.cli.terminal import print_error, print_note, print_result, print_traceback, print_warning

__all__ = ["app", "run"]

_USAGE, _INTERRUPTED = 2, 130
_SWITCH_INTERVAL_S = 0.0005
# The usage errors of typer have one home in its older versions and another in its newer ones.
_USAGE_ERRORS: tuple[type[Exception], ...] = tuple(
    kind for kind in typer.BadParameter.__mro__ if issubclass(kind, Exception) and hasattr(kind, "format_message")
)


def _print_version(value: bool) -> None:
    if value:
        version = package_version("stemstream")
        print_result(f"stemstream {version}" if version else "stemstream, not installed as a package")
        raise typer.Exit


def _print_help(context: typer.Context) -> int:
    text = context.get_help()
    if text:
        print_result(text)
    return _USAGE


app = typer.Typer(
    name="stemstream",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def stemstream(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> int:
    """Separate music into stems while it plays.

    Exit codes: 0 all good, 1 some inputs failed, 2 usage, 3 audio device, 4 model, 130 interrupted.
    """
    return _print_help(context) if context.invoked_subcommand is None else 0


_models = typer.Typer(help="Models by name: which there are, what they are, and how to get them.")


@_models.callback(invoke_without_command=True)
def _models_alone(context: typer.Context) -> int:
    return _print_help(context) if context.invoked_subcommand is None else 0


_cache = typer.Typer(help="Stems that are kept from other times: which there are, and to be rid of them.")


@_cache.callback(invoke_without_command=True)
def _cache_alone(context: typer.Context) -> int:
    return _print_help(context) if context.invoked_subcommand is None else 0


def _help(command: Callable[..., int]) -> str:
    """Give a command's docstring with one line for each paragraph, so that it can be wrapped to any terminal."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _group, _name, _command in (
    (app, "demo", demo.demo),
    (app, "separate", separate.separate),
    (app, "play", play.play),
    (app, "live", live.live),
    (app, "latency", latency.latency),
    (app, "export", export.export),
    (_models, "list", models.list_models),
    (_models, "info", model_files.model_info),
    (_models, "download", model_files.download_model),
    (_models, "verify", model_files.verify_models),
    (_cache, "list", cache.list_cache),
    (_cache, "clear", cache.clear_cache),
    (app, "devices", devices.devices),
    (app, "doctor", doctor.doctor),
):
    _group.command(_name, help=_help(_command))(_command)
app.add_typer(_models, name="models")
app.add_typer(_cache, name="cache")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; see ``streamer.cli.main``."""
    # Names of files need not be text in the terminal's encoding.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # The process is this program's own: a thread that runs Python then holds up the others for at most this long.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    state: dict[str, Any] = {"debug": False}
    with _clean_warnings():
        return _run(arguments, state)


def _run(arguments: Sequence[str] | None, state: dict[str, Any]) -> int:
    try:
        given = None if arguments is None else list(arguments)
        outcome = app(given, prog_name="stemstream", standalone_mode=False, obj=state)
    except _USAGE_ERRORS as error:
        return _tell(state, _usage_text(error), _USAGE)
    except (KeyboardInterrupt, typer.Abort):
        outcome = _INTERRUPTED
    except StemstreamError as error:
        return _tell(state, str(error), error.exit_code)
    except Exception as error:  # the outermost place: whatever is left over is a fault of the program, and is told
        cause = " ".join(str(error).split())
        return _tell(state, f"unexpected {type(error).__name__} ({cause}): run again with --debug and report it", 1)
    if outcome == _INTERRUPTED:
        print_note("interrupted")
    return outcome if isinstance(outcome, int) else 0


def _tell(state: dict[str, Any], text: str, code: int) -> int:
    if state["debug"]:
        print_traceback()
    print_error(text)
    return code


def _usage_text(error: Any) -> str:
    context = getattr(error, "ctx", None)
    command = "stemstream" if context is None else context.command_path
    # typer puts the words of a library beneath it in front of some of its own.
    text = error.format_message().replace("Value error, ", "").rstrip(". ")
    return f"{text}: see {command} --help"


@contextmanager
def _clean_warnings() -> Iterator[None]:
    """Show Python warnings and the project's log as one line each, and a line of the log once."""
    logger = logging.getLogger("stemstream")
    level, handler = logger.level, _OnceHandler()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print_warning(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)


class _OnceHandler(logging.Handler):
    """A model that fails at every window must not fill the screen."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._told:
            self._told.add(text)
            print_warning(text)
