"""Public models on this machine are found, checked before use, and fetched once."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from engine import public_models
from engine.cache import models_folder
from engine.config import parse_config
from engine.errors import ConfigurationError, ModelError
from engine.known_models import KNOWN_MODELS, KnownModel
from engine.model_store import (
    check_request,
    checked_model,
    config_of,
    fetch_model,
    find_model_file,
    own_file,
    recorded_sha256,
    wanted_sha256,
)
from engine.public_models import PUBLIC_MODELS, PublicModel
from engine.registry import load_separator
from tests.engine.file_server import Fault, FileServer, file_server
from tests.engine.mdx23c_models import TINY, config_data, save_model

NAME = "mdx23c-vocals"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIO_SEPARATOR_MODEL_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint that loads."""
    return save_model(tmp_path_factory.mktemp("made") / "a.ckpt", has_config=False).read_bytes()


@pytest.fixture
def server(body: bytes) -> Iterator[FileServer]:
    with file_server(body) as served:
        yield served


@pytest.fixture
def model(body: bytes, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> PublicModel:
    """A public model that is small."""
    data = config_data(TINY, training={"instruments": ["dry", "wet"]})
    small = replace(
        PUBLIC_MODELS[0],
        config=parse_config(data, "c"),
        sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
        urls=(server.address,),
    )
    monkeypatch.setitem(KNOWN_MODELS, hashlib.sha256(body).hexdigest(), KnownModel("small", small.config))
    return listed(small, monkeypatch)


@pytest.fixture
def unstated(model: PublicModel, monkeypatch: pytest.MonkeyPatch) -> PublicModel:
    """The same, with no SHA-256 stated."""
    return listed(replace(model, sha256=None, size_bytes=None), monkeypatch)


def listed(model: PublicModel, monkeypatch: pytest.MonkeyPatch) -> PublicModel:
    monkeypatch.setattr(public_models, "PUBLIC_MODELS", (model,))
    return model


def no_network(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the network was used")


class TestFetching:
    def test_a_model_is_fetched_and_loaded_by_its_name_without_a_network(
        self, model: PublicModel, server: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched = fetch_model(model)
        assert (fetched.path, fetched.sha256, fetched.was_there) == (own_file(model), model.sha256, False)
        assert sorted(path.name for path in models_folder().iterdir()) == sorted(
            [own_file(model).name, config_of(model).name]
        )
        monkeypatch.setattr(socket, "socket", no_network)
        assert load_separator(NAME).spec.stems == ("dry", "wet")
        assert load_separator(own_file(model)).spec.stems == ("dry", "wet")
        assert fetch_model(model).was_there
        assert len(server.requests) == 1

    @pytest.mark.parametrize("which", [0, 1])
    def test_the_name_of_its_file_stands_for_the_model_where_no_such_file_is(
        self, model: PublicModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        name = model.files[which]
        with pytest.raises(ModelError, match=f"model '{NAME}' is not on this machine: stemstream models download"):
            load_separator(name)
        fetch_model(model)
        assert load_separator(name).spec.stems == ("dry", "wet")
        assert load_separator(name.removesuffix(".ckpt")).spec.stems == ("dry", "wet")
        with pytest.raises(ModelError, match="does not exist: check the path"):
            load_separator(Path(name))
        Path(name).write_bytes(b"0123456789")
        with pytest.raises(ModelError, match="needs its config, which is not known for this file"):
            load_separator(name)

    def test_the_settings_that_are_written_are_those_of_the_table(self, model: PublicModel) -> None:
        fetch_model(model)
        assert config_of(model).read_text(encoding="utf-8").startswith("# Settings of MDX23C-8KFFT-InstVoc_HQ.ckpt")
        text = config_of(model).read_text(encoding="utf-8")
        config_of(model).write_text(text.replace("- dry", "- damp"), encoding="utf-8")
        fetch_model(model)
        assert load_separator(NAME).spec.stems == ("damp", "wet")

    def test_a_model_that_is_not_there_names_the_command_that_fetches_it(self, model: PublicModel) -> None:
        with pytest.raises(ModelError) as caught:
            load_separator(NAME)
        assert str(caught.value) == (
            f"model '{NAME}' is not on this machine: stemstream models download {NAME} fetches it "
            f"({model.size_bytes} bytes)"
        )

    def test_loading_never_uses_the_network(self, model: PublicModel, server: FileServer) -> None:
        with pytest.raises(ModelError):
            load_separator(NAME)
        assert server.requests == []

    def test_a_damaged_file_is_refused_and_fetched_again(self, model: PublicModel, body: bytes) -> None:
        fetch_model(model)
        own_file(model).write_bytes(body[:-1] + b"x")
        with pytest.raises(ModelError, match=r"is damaged, or another file: its SHA-256 is .*; stemstream models down"):
            load_separator(NAME)
        assert not fetch_model(model).was_there
        assert own_file(model).read_bytes() == body

    def test_another_address_is_used_where_one_is_given(self, model: PublicModel, server: FileServer) -> None:
        nowhere = replace(model, urls=("http://127.0.0.1:1/a.ckpt",))
        assert fetch_model(nowhere, url=server.address).path == own_file(model)

    def test_without_a_stated_address_one_is_asked_for(self, model: PublicModel) -> None:
        for call in (fetch_model, check_request):
            with pytest.raises(ConfigurationError, match=r"give one with --url, .*; it is published by http"):
                call(replace(model, urls=()))

    def test_a_folder_that_cannot_be_made_is_told(self, model: PublicModel, cache: Path) -> None:
        cache.write_text("in the way")
        with pytest.raises(ModelError, match=r"cannot be written or locked .*, or set STEMSTREAM_CACHE"):
            fetch_model(model)


class TestDigest:
    def test_without_a_stated_digest_nothing_is_fetched(self, unstated: PublicModel, server: FileServer) -> None:
        with pytest.raises(ConfigurationError, match=r"nobody states the SHA-256 of model .* with --sha256"):
            fetch_model(unstated)
        assert server.requests == []

    def test_a_digest_that_is_given_is_checked_and_kept(
        self, unstated: PublicModel, body: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = hashlib.sha256(body).hexdigest()
        with pytest.raises(ModelError, match="is wanted: it is another file"):
            fetch_model(unstated, sha256="0" * 64)
        assert recorded_sha256(own_file(unstated)) is None
        fetch_model(unstated, sha256=digest.upper())
        assert (models_folder() / f"{unstated.files[0]}.sha256").read_text() == f"{digest}  {unstated.files[0]}\n"
        assert wanted_sha256(unstated) == digest
        assert load_separator(NAME).spec.stems == ("dry", "wet")
        assert fetch_model(unstated).was_there

    def test_a_file_for_which_nothing_vouches_is_not_loaded(self, unstated: PublicModel, body: bytes) -> None:
        own_file(unstated).parent.mkdir(parents=True)
        own_file(unstated).write_bytes(body)
        with pytest.raises(ModelError, match=r"nothing says what its SHA-256 must be: .*--sha256 HEX records it"):
            load_separator(NAME)

    @pytest.mark.parametrize("given", ["", "abc", "g" * 64, "0" * 65])
    def test_what_is_no_digest_is_a_usage_error(self, unstated: PublicModel, given: str) -> None:
        with pytest.raises(ConfigurationError, match="is no SHA-256: give its 64 digits"):
            fetch_model(unstated, sha256=given)

    def test_another_digest_than_the_stated_one_is_a_usage_error(self, model: PublicModel) -> None:
        with pytest.raises(ConfigurationError, match=f"is not that of model '{NAME}', which is {model.sha256}"):
            fetch_model(model, sha256="0" * 64)


class TestOtherFolder:
    @pytest.fixture
    def other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "other"
        folder.mkdir()
        monkeypatch.setenv("AUDIO_SEPARATOR_MODEL_DIR", str(folder))
        return folder

    @pytest.mark.parametrize("which", [0, 1])
    def test_a_file_of_a_known_name_is_used_where_it_lies(
        self, model: PublicModel, other: Path, body: bytes, which: int, server: FileServer
    ) -> None:
        (other / model.files[which]).write_bytes(body)
        assert checked_model(model) == (other / model.files[which], None)
        assert load_separator(NAME).spec.stems == ("dry", "wet")
        fetched = fetch_model(model)
        assert (fetched.path, fetched.was_there) == (other / model.files[which], True)
        assert load_separator(NAME).spec.stems == ("dry", "wet")
        assert server.requests == []
        assert [path.name for path in other.iterdir()] == [model.files[which]]

    def test_a_file_of_a_known_name_with_other_contents_is_not_used(self, model: PublicModel, other: Path) -> None:
        (other / model.files[0]).write_bytes(b"another")
        with pytest.raises(ModelError, match="is damaged, or another file"):
            load_separator(NAME)
        assert fetch_model(model).path == own_file(model)
        assert checked_model(model)[0] == own_file(model)

    def test_one_for_which_no_digest_is_stated_is_used_once_one_is_given(
        self, unstated: PublicModel, other: Path, body: bytes, server: FileServer
    ) -> None:
        (other / unstated.files[0]).write_bytes(body)
        with pytest.raises(ModelError, match="nothing says what its SHA-256 must be"):
            load_separator(NAME)
        assert fetch_model(unstated, sha256=hashlib.sha256(body).hexdigest()).was_there
        assert load_separator(NAME).spec.stems == ("dry", "wet")
        assert server.requests == []


class TestTwoAtOnce:
    def test_the_second_waits_and_finds_the_file(self, model: PublicModel, server: FileServer) -> None:
        server.faults.append(Fault(hold_after=1000))
        first = threading.Thread(target=fetch_model, args=(model,))
        first.start()
        assert server.holding.wait(20)
        waits: list[None] = []

        def waiting() -> None:
            waits.append(None)
            server.release.set()

        second = fetch_model(model, waiting=waiting)
        server.release.set()
        first.join()
        assert waits
        assert second.was_there
        assert len(server.requests) == 1
        assert not list(models_folder().glob(".*.lock"))

    def test_a_wait_can_be_ended(self, model: PublicModel, server: FileServer) -> None:
        server.faults.append(Fault(hold_after=1000))
        first = threading.Thread(target=fetch_model, args=(model,))
        first.start()
        assert server.holding.wait(20)

        def waiting() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fetch_model(model, waiting=waiting)
        server.release.set()
        first.join()
        assert find_model_file(model) is not None


def test_an_unknown_name_that_is_close_to_a_public_one_is_hinted_at() -> None:
    with pytest.raises(ModelError, match=r"model 'mdx23c-vocal' is not known: did you mean 'mdx23c-vocals'"):
        load_separator("mdx23c-vocal")
