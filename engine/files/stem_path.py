"""Names of stem files: what a user's template and a song's title may become, and never outside the folder."""

from __future__ import annotations

import hashlib
import os
import string
from collections.abc import Sequence
from pathlib import Path

from engine.errors import ConfigurationError, OutputError

__all__ = ["DEFAULT_TEMPLATE", "check_ending", "check_inside", "stem_path"]

DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"

_PLACEHOLDERS = ("track", "stem", "ext", "suffix")
_RESERVED_CHARACTERS = frozenset('<>:"/\\|?*')
_RESERVED_NAMES = frozenset(
    ("con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10)))
)
# File systems take 255 bytes a name; the rest is room for what the name of a part file adds.
_MAX_VALUE_BYTES = {"track": 120, "stem": 60, "ext": 16, "suffix": 16}
_MAX_NAME_BYTES = 240


def stem_path(
    folder: str | os.PathLike[str],
    template: str = DEFAULT_TEMPLATE,
    *,
    track: str,
    stem: str,
    ext: str,
    suffix: str = "",
    subfolders: Sequence[str] = (),
) -> Path:
    r"""Path of one stem's file, always inside ``folder``.

    Nothing is created. Values are made safe: path separators, characters that some system reserves and control
    characters become ``_``, dots and spaces at the ends are dropped, an empty value becomes ``_``, a name that
    Windows keeps for a device gets ``_`` in front, and a value that is too long is cut and gets eight characters
    of its hash, so that two long titles do not become one. The template is the user's own and is not changed:
    where it is wrong it is refused.

    Parameters
    ----------
    folder : path-like
    template : str
        Relative path with ``/`` or ``\`` between folders; ``{track}``, ``{stem}``, ``{ext}`` and ``{suffix}`` are
        replaced.
    track, stem, ext, suffix : str
        ``ext`` is the stem file's and ``suffix`` the input's, with or without the dot.
    subfolders : sequence of str
        Names of folders between ``folder`` and the template's, one in the other; made safe like titles.

    Returns
    -------
    Path

    Raises
    ------
    ConfigurationError
        If the template is empty, absolute, leaves the folder, uses another placeholder, or makes a name of more
        than 240 bytes.

    Examples
    --------
    >>> stem_path("out", track="AC/DC: T.N.T.", stem="drums", ext="wav").as_posix()
    'out/AC_DC_ T.N.T/drums.wav'
    """
    values = {
        "track": _safe_value("track", track),
        "stem": _safe_value("stem", stem),
        "ext": _safe_value("ext", ext.lstrip(".")),
        "suffix": _safe_value("suffix", suffix.lstrip(".").lower()),
    }
    names = [name for name in _filled(template, values).split("/") if name not in ("", ".")]
    if not names:
        raise ConfigurationError(f"file name template {template!r} names no file: use for instance {DEFAULT_TEMPLATE}")
    path = Path(folder).joinpath(*(_unreserved(_safe_value("track", name)) for name in subfolders))
    for name in names:
        if len(name.encode()) > _MAX_NAME_BYTES:
            raise ConfigurationError(
                f"file name template {template!r} makes a name of {len(name.encode())} bytes: "
                f"at most {_MAX_NAME_BYTES} are allowed, shorten it"
            )
        path /= _unreserved(name)
    return path


def check_ending(template: str, path: Path, ext: str) -> None:
    """Refuse a path that does not end as its kind of file must, so that no file is of another kind than was asked for.

    Raises
    ------
    ConfigurationError
        Naming the template.
    """
    if path.suffix.lower() != f".{ext.lstrip('.')}":
        raise ConfigurationError(
            f"file name template {template!r} makes {path.name!r}, which does not end in .{ext.lstrip('.')}: end it in "
            "{ext}, and choose the kind of file with --ext"
        )


def check_inside(folder: str | os.PathLike[str], path: Path) -> None:
    """Refuse a path that a link in ``folder`` leads out of it. The folder itself may be a link.

    Raises
    ------
    OutputError
    """
    home, place = os.path.realpath(folder), os.path.realpath(path.parent)
    if os.path.commonpath((home, place)) != home:
        raise OutputError(
            f"{str(path)!r} lies outside of {os.fspath(folder)!r}, for a link leads to {place!r}: take the link away, "
            "or choose another folder with --out"
        )


def _filled(template: str, values: dict[str, str]) -> str:
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"file name template {template!r} is malformed ({error}): use for instance {DEFAULT_TEMPLATE}"
        ) from error
    filled = []
    for literal, placeholder, layout, conversion in pieces:
        filled.append(_checked_literal(template, literal))
        if placeholder is None:
            continue
        if placeholder not in values or layout or conversion:
            written = placeholder + (f"!{conversion}" if conversion else "") + (f":{layout}" if layout else "")
            allowed = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise ConfigurationError(
                f"file name template {template!r} has the placeholder {{{written}}}: allowed are {allowed}"
            )
        filled.append(values[placeholder])
    whole = "".join(filled)
    if whole.startswith("/"):
        raise ConfigurationError(
            f"file name template {template!r} is absolute: make it relative, the folder is set apart from it"
        )
    if any(name.strip(" .") == "" and ".." in name for name in whole.split("/")):
        raise ConfigurationError(f"file name template {template!r} leaves the folder: take out '..'")
    return whole


def _checked_literal(template: str, literal: str) -> str:
    literal = literal.replace("\\", "/")
    reserved = sorted({c for c in literal if c != "/" and _is_reserved(c)})
    if reserved:
        raise ConfigurationError(
            f"file name template {template!r} holds {', '.join(map(repr, reserved))}: "
            "file names must not, take it out (and name a drive in the folder)"
        )
    return literal


def _safe_value(kind: str, value: str) -> str:
    safe = "".join("_" if _is_reserved(c) else c for c in value).strip(" .")
    limit = _MAX_VALUE_BYTES[kind]
    if len(safe.encode()) > limit:
        # Eight characters of the whole value's hash; not a matter of security.
        mark = "~" + hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()[:8]
        safe = safe.encode()[: limit - len(mark)].decode(errors="ignore").rstrip(" .") + mark
    return safe or "_"


def _unreserved(name: str) -> str:
    # Windows drops dots and spaces at the end, and takes "con.wav" for the console.
    name = name.rstrip(" .") or "_"
    return f"_{name}" if name.split(".")[0].strip().lower() in _RESERVED_NAMES else name


def _is_reserved(character: str) -> bool:
    return character in _RESERVED_CHARACTERS or not character.isprintable()
