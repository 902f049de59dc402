"""A file comes whole, as the one that was wanted, or not at all; what has come is never fetched twice."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from engine.download import download, part_of, shown_bytes
from engine.errors import ConfigurationError, ModelError
from engine.transfer import explain
from tests.engine.file_server import Fault, FileServer, file_server

BODY = np.random.default_rng(3).bytes(1_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = np.random.default_rng(4).bytes(1_000_000)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(BODY) as served:
        yield served


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.ckpt"


def fetch(server: FileServer, target: Path, sha256: str = SHA256, **options: Any) -> None:
    download(server.address, target, sha256, **{"timeout_s": 20.0, **options})


def refusal(server: FileServer, target: Path, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        fetch(server, target, **options)
    assert "\n" not in str(caught.value)
    assert not target.exists()
    return str(caught.value)


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def leave_part(server: FileServer, target: Path, count: int) -> None:
    """End a download after so many bytes."""
    server.faults.extend([Fault(cut_after=count), Fault(status=503)])
    refusal(server, target)
    assert part_of(target).read_bytes() == server.body[:count]
    server.requests.clear()


class TestWhole:
    def test_a_file_comes_with_its_progress_and_nothing_is_left_beside_it(
        self, server: FileServer, target: Path
    ) -> None:
        told: list[tuple[int, int | None]] = []
        fetch(server, target, size_bytes=len(BODY), progress=lambda done, total: told.append((done, total)))
        assert target.read_bytes() == BODY
        assert names(target) == ["model.ckpt"]
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (len(BODY), len(BODY))
        assert len(server.requests) == 1
        assert server.requests[0]["accept-encoding"] == "identity"

    def test_a_file_that_is_there_is_replaced(self, server: FileServer, target: Path) -> None:
        target.parent.mkdir()
        target.write_bytes(OTHER)
        fetch(server, target)
        assert target.read_bytes() == BODY

    @pytest.mark.parametrize("size_bytes", [None, len(BODY)])
    def test_a_server_that_tells_no_length_is_read_to_its_end(
        self, server: FileServer, target: Path, size_bytes: int | None
    ) -> None:
        server.tells_length = False
        fetch(server, target, size_bytes=size_bytes)
        assert target.read_bytes() == BODY

    def test_a_redirection_is_followed(self, server: FileServer, target: Path) -> None:
        server.faults.append(Fault(status=302, location=server.address + "?elsewhere"))
        fetch(server, target)
        assert target.read_bytes() == BODY


class TestWrong:
    def test_another_file_is_thrown_away_and_both_digests_are_named(self, server: FileServer, target: Path) -> None:
        server.body = OTHER
        said = refusal(server, target)
        assert f"has the SHA-256 {hashlib.sha256(OTHER).hexdigest()} (1.0 MB) where {SHA256} is wanted" in said
        assert names(target) == []
        assert len(server.requests) == 1

    def test_no_more_is_taken_than_the_length_that_is_known(self, server: FileServer, target: Path) -> None:
        server.tells_length = False
        server.body = BODY + bytes(20_000_000)
        told: list[int] = []
        said = refusal(server, target, size_bytes=len(BODY), progress=lambda done, _: told.append(done))
        assert f"sends more than the {len(BODY)} bytes that model.ckpt has: it is another file, and was thrown" in said
        assert max(told, default=0) <= len(BODY)
        assert names(target) == []

    @pytest.mark.parametrize("length", ["\xb2", "-5", "9" * 5000, "1_000_000", " ", "1e6"])
    def test_a_length_that_is_no_number_is_none(self, server: FileServer, target: Path, length: str) -> None:
        server.told_length = length
        fetch(server, target)
        assert target.read_bytes() == BODY

    def test_a_file_of_another_size_is_not_even_read(self, server: FileServer, target: Path) -> None:
        said = refusal(server, target, size_bytes=999_999)
        assert "offers 1000000 bytes where model.ckpt has 999999: it is another file" in said
        assert names(target) == []

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (
                404,
                "answers 404 (Not Found) and does not have the file: it may have moved; another address may be given",
            ),
            (403, "answers 403 (Forbidden) and refuses access: open the address in a browser; another address"),
            (429, "and asks for patience: try again later"),
            (503, "and cannot serve it: try again later"),
        ],
    )
    def test_a_refusal_is_told_with_its_remedy(self, server: FileServer, target: Path, status: int, said: str) -> None:
        server.faults.append(Fault(status=status))
        assert said in refusal(server, target)
        assert len(server.requests) == 1
        assert names(target) == []

    @pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "model.ckpt", "https://", "https://a/b c", ""])
    def test_an_address_of_another_kind_is_a_usage_error(self, target: Path, url: str) -> None:
        with pytest.raises(ConfigurationError, match="give one that begins with https:// or http://"):
            download(url, target, SHA256)
        assert not target.parent.exists()

    def test_a_redirection_to_another_kind_of_address_is_refused(self, server: FileServer, target: Path) -> None:
        server.faults.append(Fault(status=302, location="ftp://127.0.0.1/model.ckpt"))
        assert "only https, and http from http, are followed" in refusal(server, target)

    def test_no_redirection_leads_out_of_encryption(
        self, server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Unencrypted(urllib.request.HTTPSHandler):
            """Stands for an https server, for which the tests have no certificate."""

            def https_open(self, req: urllib.request.Request) -> Any:
                return self.do_open(http.client.HTTPConnection, req)  # type: ignore[arg-type]

        monkeypatch.setattr(urllib.request, "HTTPSHandler", Unencrypted)
        address = server.address
        server.address = address.replace("http://", "https://")
        server.faults.append(Fault(status=302, location=address))
        said = refusal(server, target)
        assert f"leads from https to '{address}': only https" in said
        assert len(server.requests) == 1
        fetch(server, target)
        assert target.read_bytes() == BODY

    def test_a_server_that_does_not_encrypt_is_told(self, server: FileServer, target: Path) -> None:
        server.address = server.address.replace("http://", "https://")
        assert "no encrypted connection to 127.0.0.1:" in refusal(server, target)

    def test_a_server_that_is_not_there_is_told(self, server: FileServer, target: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            server.address = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
            assert "cannot be reached (Connection refused): check the connection" in refusal(server, target)
        assert names(target) == []

    def test_a_server_that_says_nothing_is_told(self, server: FileServer, target: Path) -> None:
        server.faults.append(Fault(hold_after=0))
        assert "says nothing for 0.1 s: check the connection" in refusal(server, target, timeout_s=0.1)

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (socket.gaierror(-2, "Name or service not known"), "example.org cannot be found: check the connection"),
            (ConnectionRefusedError(111, "Connection refused"), "cannot be reached (Connection refused)"),
            (OSError("Tunnel connection failed: 407 Proxy"), "cannot be reached (Tunnel connection failed: 407 Proxy)"),
            (TimeoutError(), "says nothing for 30 s"),
        ],
    )
    def test_what_the_system_says_becomes_a_remedy(self, error: OSError, said: str) -> None:
        for each in (error, urllib.error.URLError(error)):
            assert said in explain(each, "https://name:secret@example.org/a", 30.0)
            assert "secret" not in explain(each, "https://name:secret@example.org/a", 30.0)

    def test_a_certificate_that_is_not_trusted_is_told(self) -> None:
        error = ssl.SSLCertVerificationError(1, "no")
        error.verify_message = "self-signed certificate"
        said = explain(urllib.error.URLError(error), "https://example.org/a", 30.0)
        assert "certificate of example.org is not trusted (self-signed certificate): check this machine's clock" in said


class TestResume:
    def test_a_connection_that_ends_early_is_made_again_for_the_rest(self, server: FileServer, target: Path) -> None:
        server.faults.extend([Fault(cut_after=300_000), Fault(cut_after=300_000)])
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
        assert [headers.get("if-range") for headers in server.requests] == [None, '"one"', '"one"']

    def test_what_came_is_kept_and_the_next_call_asks_for_the_rest(self, server: FileServer, target: Path) -> None:
        server.faults.extend([Fault(cut_after=400_000), Fault(status=503)])
        said = refusal(server, target)
        assert "answers 503" in said
        assert f"; 400000 bytes are kept in '{part_of(target)}', run the same command again to go on" in said
        assert names(target) == ["model.ckpt.part", "model.ckpt.part.json"]
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges[-1] == "bytes=400000-"
        assert names(target) == ["model.ckpt"]

    def test_a_connection_that_brings_nothing_more_is_not_made_for_ever(self, server: FileServer, target: Path) -> None:
        server.faults.extend([Fault(cut_after=10)] * 20)
        assert "the connection ended after 50 of 1000000 bytes; 50 bytes are kept" in refusal(server, target)
        server.requests.clear()
        server.faults.clear()
        server.faults.extend([Fault(cut_after=0)] * 20)
        assert "the connection ended after 50 of 1000000 bytes" in refusal(server, target)
        assert len(server.requests) == 1

    def test_a_stall_in_the_middle_is_a_reason_to_ask_again(self, server: FileServer, target: Path) -> None:
        server.faults.append(Fault(hold_after=500_000))
        fetch(server, target, timeout_s=1.0)
        assert target.read_bytes() == BODY
        assert server.ranges == [None, "bytes=500000-"]

    def test_a_file_that_changed_meanwhile_is_fetched_anew(self, server: FileServer, target: Path) -> None:
        server.body = OTHER
        leave_part(server, target, 250_000)
        server.body, server.etag = BODY, '"two"'
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert [headers["if-range"] for headers in server.requests] == ['"one"']

    @pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', ""])
    def test_a_change_that_the_server_does_not_notice_is_found_by_the_digest(
        self, server: FileServer, target: Path, etag: str
    ) -> None:
        server.body, server.etag = OTHER, etag
        leave_part(server, target, 250_000)
        server.body = BODY
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == ["bytes=250000-", None]
        asked = [headers.get("if-range") for headers in server.requests]
        assert asked == ['"one"' if etag == '"one"' else None, None]

    def test_a_date_stands_for_a_tag(self, server: FileServer, target: Path) -> None:
        server.etag, server.last_modified = "", "Wed, 21 Oct 2015 07:28:00 GMT"
        leave_part(server, target, 250_000)
        fetch(server, target)
        assert [headers["if-range"] for headers in server.requests] == [server.last_modified]
        assert target.read_bytes() == BODY

    def test_a_server_that_knows_no_ranges_sends_all_of_it(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        server.knows_ranges = False
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == ["bytes=250000-"]

    def test_a_part_that_was_not_asked_for_is_not_taken(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        server.faults.append(Fault(content_range="bytes 7-999999/1000000"))
        assert "sends another part of it than was asked for" in refusal(server, target)
        assert part_of(target).read_bytes() == BODY[:250_000]

    def test_a_part_of_another_file_is_thrown_away(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        server.body = OTHER
        fetch(server, target, hashlib.sha256(OTHER).hexdigest())
        assert target.read_bytes() == OTHER
        assert server.ranges == [None]

    @pytest.mark.parametrize("status", [404, 503])
    def test_a_part_of_another_file_is_kept_until_something_comes(
        self, server: FileServer, target: Path, status: int
    ) -> None:
        leave_part(server, target, 250_000)
        server.faults.append(Fault(status=status))
        with pytest.raises(ModelError, match=f"answers {status}"):
            fetch(server, target, "0" * 64)
        with pytest.raises(ModelError, match="offers 1000000 bytes"):
            fetch(server, target, "0" * 64, size_bytes=5)
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == [None, None, "bytes=250000-"]

    def test_a_part_past_the_end_is_kept_until_something_comes(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        server.body = BODY[:100]
        server.faults.extend([Fault(), Fault(status=503)])
        refusal(server, target)
        assert part_of(target).read_bytes() == BODY[:250_000]

    def test_what_a_server_without_lengths_cuts_off_is_kept(self, server: FileServer, target: Path) -> None:
        server.tells_length = False
        server.faults.append(Fault(cut_after=700_000))
        said = refusal(server, target)
        assert "nobody tells its length: the connection ended early, or it is another file; 700000 bytes are" in said
        assert part_of(target).read_bytes() == BODY[:700_000]
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == [None, "bytes=700000-"]

    def test_what_was_kept_and_is_another_file_is_fetched_anew(self, server: FileServer, target: Path) -> None:
        server.tells_length, server.body = False, OTHER
        refusal(server, target)
        server.body = BODY
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == [None, "bytes=1000000-", None]

    def test_another_address_may_bring_the_rest(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        server.address += "?mirror"
        server.etag = '"of the mirror"'
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.ranges == ["bytes=250000-"]
        assert "if-range" not in server.requests[0]

    def test_what_is_already_whole_needs_no_network(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        part_of(target).write_bytes(BODY)
        fetch(server, target)
        assert target.read_bytes() == BODY
        assert server.requests == []

    @pytest.mark.parametrize("size_bytes", [None, len(BODY)])
    def test_a_part_that_is_too_long_is_thrown_away(
        self, server: FileServer, target: Path, size_bytes: int | None
    ) -> None:
        leave_part(server, target, 250_000)
        part_of(target).write_bytes(BODY + b"more")
        fetch(server, target, size_bytes=size_bytes)
        assert target.read_bytes() == BODY

    def test_a_part_whose_story_is_lost_is_thrown_away(self, server: FileServer, target: Path) -> None:
        leave_part(server, target, 250_000)
        (target.parent / "model.ckpt.part.json").write_text("[")
        fetch(server, target)
        assert server.ranges == [None]

    def test_an_interruption_keeps_what_came(self, server: FileServer, target: Path) -> None:
        def interrupt(done: int, total: int | None) -> None:
            if done >= 500_000:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch(server, target, progress=interrupt)
        kept = part_of(target).stat().st_size
        assert kept >= 500_000
        fetch(server, target)
        assert server.ranges[-1] == f"bytes={kept}-"
        assert target.read_bytes() == BODY


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class TestDisk:
    def test_a_file_for_which_there_is_no_room_is_not_begun(
        self, server: FileServer, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 999_999))
        said = refusal(server, target)
        assert "model.ckpt needs 1.0 MB more and " in said
        assert " has 999999 bytes left: free some, or set STEMSTREAM_CACHE to a folder on another disk" in said
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 1_000_000))
        fetch(server, target)
        assert target.read_bytes() == BODY

    def test_a_folder_that_cannot_be_made_is_told(self, server: FileServer, tmp_path: Path) -> None:
        (tmp_path / "models").write_text("in the way")
        assert "cannot be written (File exists)" in refusal(server, tmp_path / "models" / "model.ckpt")


def test_sizes_are_shown_in_words() -> None:
    assert [shown_bytes(n) for n in (999, 1_000_000, 448_101_203)] == ["999 bytes", "1.0 MB", "448.1 MB"]
