"""A real HTTP server on the loopback interface that fails as it is told."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What is wrong with one answer.

    Attributes
    ----------
    status : int
        Another one than 200 or 206, with no body.
    location : str
        Where a redirection leads.
    cut_after : int
        Bytes after which the connection ends.
    hold_after : int
        Bytes after which nothing comes until the server's ``release`` is set.
    content_range : str
        What is said instead of the truth.
    """

    status: int = 0
    location: str = ""
    cut_after: int | None = None
    hold_after: int | None = None
    content_range: str = ""


@dataclass
class FileServer:
    """One file under any path.

    Attributes
    ----------
    body : bytes
    etag, last_modified : str
        Sent where they are not empty; an ``If-Range`` that is neither gets all of the file.
    knows_ranges, tells_length : bool
    told_length : str
        What is said instead of the length.
    faults : deque of Fault
        Of the next answers, one each; answers after them are right.
    requests : list of dict
        Headers of every request.
    holding, release : threading.Event
        Set when an answer is held back, and to let it go on.
    """

    body: bytes
    etag: str = '"one"'
    last_modified: str = ""
    knows_ranges: bool = True
    tells_length: bool = True
    told_length: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[dict[str, str]] = field(default_factory=list)
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """What each request asked for."""
        return [headers.get("range") for headers in self.requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(headers)
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.status:
            handler.send_response(fault.status)
            if fault.location:
                handler.send_header("Location", fault.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        begin = self._begin(headers)
        if begin >= len(self.body):
            handler.send_error(416)
            return
        handler.send_response(206 if begin else 200)
        if begin:
            told = f"bytes {begin}-{len(self.body) - 1}/{len(self.body)}"
            handler.send_header("Content-Range", fault.content_range or told)
        for name, value in (("ETag", self.etag), ("Last-Modified", self.last_modified)):
            if value:
                handler.send_header(name, value)
        if self.tells_length:
            handler.send_header("Content-Length", self.told_length or str(len(self.body) - begin))
        handler.end_headers()
        self._send(handler, self.body[begin:], fault)

    def _begin(self, headers: dict[str, str]) -> int:
        asked = headers.get("range", "")
        same = headers.get("if-range", self.etag or self.last_modified) in (self.etag, self.last_modified)
        return int(asked.removeprefix("bytes=").removesuffix("-")) if asked and same and self.knows_ranges else 0

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes, fault: Fault) -> None:
        if fault.cut_after is not None:
            handler.wfile.write(body[: fault.cut_after])
            handler.close_connection = True
            return
        if fault.hold_after is not None:
            handler.wfile.write(body[: fault.hold_after])
            handler.wfile.flush()
            self.holding.set()
            self.release.wait()
            body = body[fault.hold_after :]
        handler.wfile.write(body)


@contextmanager
def file_server(body: bytes, **options: Any) -> Iterator[FileServer]:
    """Serve a file."""
    served = FileServer(body, **options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(ConnectionError):
                served.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}/model.ckpt"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.release.set()
        server.shutdown()
        server.server_close()
        thread.join()
