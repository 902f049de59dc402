"""A file from the network, taken up where it was left off, and in its place only if it is the one that was wanted."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from engine.digests import ByteProgress
from engine.errors import ConfigurationError, ModelError
from engine.transfer import Answer, RangeRefusedError, ask, explain

__all__ = ["check_address", "download", "part_of", "shown_bytes"]

_TIMEOUT_S = 30.0
_BLOCK_BYTES = 1 << 18
_ATTEMPTS = 5  # as long as each brings something: a line that fails now and then needs no second command
_AGAIN = "run the same command again to go on"


def download(
    url: str,
    target: Path,
    sha256: str,
    *,
    size_bytes: int | None = None,
    progress: ByteProgress | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> None:
    """Fetch a file.

    What has come lies in ``NAME.part`` beside the target, and ``NAME.part.json`` says what it belongs to. Whatever ends
    the work leaves both, so that the next call asks for the rest; a server that sends all of it nevertheless, or whose
    file has changed, makes it begin anew, and so does another SHA-256, but not before a server sends what was asked
    for. A connection that ends early is made again while that brings anything. Where nobody tells the length, what came
    is kept although its SHA-256 is another one: more may be missing. No more is taken than the length that is known.
    The file gets its name when it is whole and its SHA-256 is the one that is wanted.

    One caller at a time for a target, see `engine.file_lock`. It blocks the calling thread.

    Parameters
    ----------
    url : str
        ``https`` or ``http``; redirections are followed, but never from https to http.
    target : Path
        Its folder is made if it is missing; a file that is there is replaced.
    sha256 : str
        64 hexadecimal digits in lower case.
    size_bytes : int, optional
        What the file has; a server that offers another is not listened to.
    progress : callable, optional
        Called after each block; see `engine.digests.ByteProgress`.
    timeout_s : float
        How long the server may say nothing.

    Raises
    ------
    ModelError
        If it cannot be fetched or kept, or is not the file that was wanted.
    ConfigurationError
        If the address is of another kind.
    """
    check_address(url)
    _Download(url, target, sha256, size_bytes, progress, timeout_s).run()


def check_address(url: str) -> None:
    """Refuse an address that is neither https nor http.

    Raises
    ------
    ConfigurationError
    """
    scheme, separator, rest = url.partition("://")
    if scheme.lower() not in ("https", "http") or not separator or not rest or not url.isprintable() or " " in url:
        raise ConfigurationError(f"address {url!r} cannot be used: give one that begins with https:// or http://")


def part_of(target: Path) -> Path:
    """Where the bytes lie that have come so far."""
    return target.with_name(target.name + ".part")


def shown_bytes(count: int) -> str:
    """Give a size in words."""
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count} bytes"


class _Download:
    def __init__(
        self,
        url: str,
        target: Path,
        sha256: str,
        size_bytes: int | None,
        progress: ByteProgress | None,
        timeout_s: float,
    ) -> None:
        self._url, self._target, self._sha256, self._size_bytes = url, target, sha256, size_bytes
        self._progress, self._timeout_s = progress, timeout_s
        self._part = part_of(target)
        self._record = self._part.with_name(self._part.name + ".json")
        self._digest, self._done = hashlib.sha256(), 0
        self._total = size_bytes
        self._validator = ""
        self._is_pieced = False
        self._is_ours = True  # what lies in the part belongs to this download, and may be thrown away

    def run(self) -> None:
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            was_there, belongs = self._part.is_file(), self._read_record()
            self._is_ours = belongs or not was_there
            file = io.FileIO(self._part, "r+b" if was_there else "w+b")
        except OSError as error:
            raise _no_place(self._target.parent, error) from error
        with file:
            try:
                self._fill(file)
            except BaseException:
                if self._is_ours and not self._done:
                    self._remove()
                raise
        self._place()

    def _fill(self, file: io.FileIO) -> None:
        if self._is_ours:
            self._take_up(file)
        if not self._is_whole():
            self._fetch(file)
            if not self._is_whole() and self._is_pieced and self._total is not None:
                # The first bytes may have been another file's: a server need not notice that its file changed.
                self._begin_anew(file)
                self._fetch(file)
        if not self._is_whole():
            self._give_up(file)
        self._sync(file)

    def _is_whole(self) -> bool:
        return self._digest.hexdigest() == self._sha256

    def _read_record(self) -> bool:
        """Find out whether what is there is a part of what is wanted."""
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            if not self._part.is_file() or record["sha256"] != self._sha256:
                return False
            # Another address may have the same bytes, but its server has other words for them.
            self._validator = str(record["validator"]) if record["url"] == self._url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return True

    def _take_up(self, file: io.FileIO) -> None:
        while block := file.read(_BLOCK_BYTES):
            self._add(block)
        if self._size_bytes is not None and self._done >= self._size_bytes and not self._is_whole():
            self._begin_anew(file)

    def _begin_anew(self, file: io.FileIO) -> None:
        self._digest, self._done, self._validator = hashlib.sha256(), 0, ""
        self._is_ours = True
        try:
            file.seek(0)
            file.truncate()
        except OSError as error:
            raise self._disk_error(error) from error

    def _add(self, block: bytes) -> None:
        self._digest.update(block)
        self._done += len(block)
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _fetch(self, file: io.FileIO) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            before = self._done
            fault = self._try_once(file)
            if not fault:
                return
            if self._done <= before or attempt == _ATTEMPTS:
                whole = " whole" if self._done else ""
                raise ModelError(f"{self._target.name} was not fetched{whole}: {fault}{self._kept()}")

    def _try_once(self, file: io.FileIO) -> str:
        """Fetch what is missing; gives what went wrong, or nothing."""
        try:
            try:
                answer = self._ask()
            except RangeRefusedError:
                answer = self._ask(anew=True)
            with answer.stream:
                if answer.first_byte not in (0, self._done):
                    return "the server sends another part of it than was asked for: try again later"
                self._accept(answer, file)
                while block := answer.stream.read1(_BLOCK_BYTES):
                    if self._total is not None and self._done + len(block) > self._total:
                        raise self._too_long(file)
                    self._write(file, block)
                    self._add(block)
        except (http.client.IncompleteRead, ConnectionResetError, BrokenPipeError):
            return self._cut()
        except (OSError, http.client.HTTPException) as error:
            return explain(error, self._url, self._timeout_s)
        return self._cut() if self._total is not None and self._done < self._total else ""

    def _ask(self, *, anew: bool = False) -> Answer:
        first, validator = (0, "") if anew else (self._done, self._validator)
        return ask(self._url, first_byte=first, validator=validator, timeout_s=self._timeout_s)

    def _accept(self, answer: Answer, file: io.FileIO) -> None:
        wanted, offered = self._size_bytes, answer.total_bytes
        if wanted is not None and offered is not None and wanted != offered:
            if self._is_ours:
                self._remove()
            raise ModelError(
                f"{self._url!r} offers {offered} bytes where {self._target.name} has {wanted}: it is another file; "
                "give another address with --url"
            )
        self._total = offered if offered is not None else wanted
        free = shutil.disk_usage(self._target.parent).free
        needed = 0 if self._total is None else self._total - os.fstat(file.fileno()).st_size
        if free < needed:
            raise ModelError(
                f"{self._target.name} needs {shown_bytes(needed)} more and "
                f"{str(self._target.parent)!r} has {shown_bytes(free)} left: free some, or set STEMSTREAM_CACHE to a "
                f"folder on another disk{self._kept()}"
            )
        if not answer.first_byte:
            self._begin_anew(file)
        self._is_pieced = answer.first_byte > 0
        self._validator = answer.validator
        record = {"url": self._url, "sha256": self._sha256, "validator": self._validator}
        try:
            self._record.write_text(json.dumps(record), encoding="utf-8")
        except OSError as error:
            raise self._disk_error(error) from error

    def _write(self, file: io.FileIO, block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[file.write(view) or 0 :]
        except OSError as error:
            raise self._disk_error(error) from error

    def _sync(self, file: io.FileIO) -> None:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            raise self._disk_error(error) from error

    def _place(self) -> None:
        try:
            os.replace(self._part, self._target)
        except OSError as error:
            raise _no_place(self._target, error) from error
        with suppress(OSError):
            self._record.unlink()

    def _too_long(self, file: io.FileIO) -> ModelError:
        file.close()
        self._remove()
        return ModelError(
            f"{self._url!r} sends more than the {self._total} bytes that {self._target.name} has: it is another file, "
            "and was thrown away; give another address with --url"
        )

    def _give_up(self, file: io.FileIO) -> None:
        found, size = self._digest.hexdigest(), self._done
        if self._total is None:
            raise ModelError(
                f"what {self._url!r} gave has the SHA-256 {found} where {self._sha256} is wanted, and nobody tells its "
                f"length: the connection ended early, or it is another file{self._kept()}, or give another address "
                "with --url"
            )
        file.close()
        self._remove()
        raise ModelError(
            f"what {self._url!r} gave has the SHA-256 {found} ({shown_bytes(size)}) where {self._sha256} is wanted: it "
            "is another file, or was changed on the way, and was thrown away; give another address with --url"
        )

    def _remove(self) -> None:
        for path in (self._part, self._record):
            with suppress(OSError):
                path.unlink()

    def _cut(self) -> str:
        return f"the connection ended after {self._done} of {self._total or 'an unknown number of'} bytes"

    def _kept(self) -> str:
        if not self._done:
            return ""
        return f"; {shown_bytes(self._done)} are kept in {str(self._part)!r}, {_AGAIN}"

    def _disk_error(self, error: OSError) -> ModelError:
        return ModelError(
            f"{str(self._part)!r} cannot be written ({error.strerror}): free some space, or set STEMSTREAM_CACHE to a "
            f"folder on another disk{self._kept()}"
        )


def _no_place(path: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{str(path)!r} cannot be written ({error.strerror}): correct its permissions, or set STEMSTREAM_CACHE to "
        "another folder"
    )
