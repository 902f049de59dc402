"""One request for a file, or for the rest of it, and what is wrong when no answer comes, in words."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import IO, Any

from engine.errors import ModelError

__all__ = ["Answer", "RangeRefusedError", "ask", "explain"]

_PARTIAL, _RANGE_REFUSED = 206, 416
_AGENT = "stemstream"
_COUNT = re.compile("[0-9]{1,18}")
_RANGE = re.compile("bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\\*)")
_STATUS = {
    401: "wants a login: open the address in a browser",
    403: "refuses access: open the address in a browser",
    404: "does not have the file: it may have moved",
    407: "is behind a proxy that wants a login: set HTTPS_PROXY to http://NAME:PASSWORD@HOST:PORT",
    410: "no longer has the file",
    429: "asks for patience: try again later",
}
_ELSEWHERE = "; another address may be given with --url, what comes is checked by its SHA-256 either way"
_AWAY = (401, 403, 404, 410)


@dataclass(frozen=True)
class Answer:
    """What a server began to send.

    Attributes
    ----------
    stream : HTTPResponse
        The rest of the file, from ``first_byte`` on; the caller closes it.
    first_byte : int
        0 where the server sends all of it, whatever was asked for.
    total_bytes : int or None
        Of the whole file.
    validator : str
        What ``If-Range`` takes to ask whether the file is still the same; empty if the server gave nothing of the kind.
    """

    stream: http.client.HTTPResponse
    first_byte: int
    total_bytes: int | None
    validator: str


class RangeRefusedError(Exception):
    """The server has no such part of the file."""


class _NoWayBack(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but never from an encrypted address to one that is not."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise ModelError(
                f"{req.host} leads from {req.type} to {newurl!r}: only https, and http from http, are followed; "
                "give another address with --url"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def ask(url: str, *, first_byte: int, validator: str, timeout_s: float) -> Answer:
    """Ask for a file from a byte on.

    Proxies are those of the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``), certificates the system's or
    those of ``SSL_CERT_FILE``.

    Parameters
    ----------
    url : str
        ``https`` or ``http``.
    first_byte : int
        0 for all of it.
    validator : str
        That of the answer to which the first bytes belong. If the file has changed since, all of it is sent.
    timeout_s : float
        How long the server may say nothing.

    Raises
    ------
    RangeRefusedError
        If the file has no such byte.
    ModelError
        If it is redirected from https to http.
    OSError, http.client.HTTPException
        If nothing comes; see `explain`.
    """
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if first_byte:
        headers |= {"Range": f"bytes={first_byte}-"} | ({"If-Range": validator} if validator else {})
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _NoWayBack(),
    ):
        opener.add_handler(handler)
    try:
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout_s)  # noqa: S310 - no others
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _RANGE_REFUSED and first_byte:
            raise RangeRefusedError from error
        raise
    return _answer(response)


def _answer(response: Any) -> Answer:
    length = response.headers.get("Content-Length", "")
    begin, total = 0, int(length) if _COUNT.fullmatch(length) else None
    if response.status == _PARTIAL:
        told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        begin = int(told[1]) if told else -1
        total = int(told[2]) if told and told[2] != "*" else None
    tag = response.headers.get("ETag", "")
    # A weak tag says that two files mean the same, not that their bytes are the same.
    validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return Answer(response, begin, total, validator)


def explain(error: Exception, url: str, timeout_s: float) -> str:
    """Say in words, with the remedy, why nothing came from an address, or nothing more."""
    host = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if isinstance(error, urllib.error.HTTPError):
        said = _STATUS.get(error.code, "cannot serve it: try again later")
        return f"{host} answers {error.code} ({error.reason}) and {said}{_ELSEWHERE if error.code in _AWAY else ''}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"{host} says nothing for {timeout_s:g} s: check the connection, or try again later"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} is not trusted ({cause.verify_message}): check this machine's clock; "
            "where a proxy re-encrypts, name its certificates in SSL_CERT_FILE"
        )
    if isinstance(cause, ssl.SSLError):
        return f"no encrypted connection to {host} comes about ({cause.reason}): check the address and the proxy"
    if isinstance(cause, socket.gaierror):
        return f"{host} cannot be found: check the connection; a proxy is named in HTTPS_PROXY"
    told = (cause.strerror if isinstance(cause, OSError) else "") or " ".join(str(cause).split())
    return f"{host} cannot be reached ({told or type(cause).__name__}): check the connection, or try again later"
