"""``stemstream models info|download|verify`` as a user meets them: one line, the right code, and a real server."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.public_models import PUBLIC_MODELS, find_public_model
from tests.engine.file_server import Fault, FileServer, file_server
from tests.engine.mdx23c_models import TINY, Golden, config_data, save_model
from tests.streamer.cli.conftest import Command, files_in, run_process, start_process

NAME, FILE = "mdx23c-vocals-d1581", "MDX23C_D1581.ckpt"
"""No SHA-256 and no size of it are stated, so any bytes may stand for it."""

BODY = np.random.default_rng(5).bytes(2_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STEMSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIO_SEPARATOR_MODEL_DIR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "models"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server(BODY) as served:
        yield served


def words(server: FileServer, sha256: str = SHA256) -> tuple[str, ...]:
    return "models", "download", NAME, "--url", server.address, "--sha256", sha256


class TestDownload:
    def test_a_model_comes_and_its_file_is_named(self, server: FileServer, command: Command, cache: Path) -> None:
        ended = command(*words(server))
        assert (ended.code, ended.out) == (0, f"{NAME}: {cache / FILE}\n")
        assert ended.err == f"downloading {NAME}\n"
        assert files_in(cache) == [FILE, f"{FILE}.sha256", "MDX23C_D1581.yaml"]
        again = command("models", "download", FILE, "--json")
        told = json.loads(again.out)
        assert (told["path"], told["sha256"], told["was_there"]) == (str(cache / FILE), SHA256, True)
        assert len(server.requests) == 1

    def test_wrong_bytes_leave_nothing(self, server: FileServer, command: Command, cache: Path) -> None:
        ended = command(*words(server, "0" * 64))
        assert ended.code == 4
        assert f"has the SHA-256 {SHA256} (2.0 MB) where {'0' * 64} is wanted" in ended.error
        assert files_in(cache) == []

    def test_a_file_that_has_moved_names_the_remedy(self, server: FileServer, command: Command, cache: Path) -> None:
        server.faults.append(Fault(status=404))
        ended = command(*words(server))
        assert ended.code == 4
        assert "answers 404 (Not Found)" in ended.error
        assert "may be given with --url" in ended.error
        assert files_in(cache) == []

    def test_a_cut_connection_is_taken_up_by_the_next_command(
        self, server: FileServer, command: Command, cache: Path
    ) -> None:
        server.faults.extend([Fault(cut_after=700_000), Fault(status=503)])
        ended = command(*words(server))
        assert ended.code == 4
        assert "run the same command again to go on" in ended.error
        assert command(*words(server)).code == 0
        assert server.ranges == [None, "bytes=700000-", "bytes=700000-"]
        assert (cache / FILE).read_bytes() == BODY

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((NAME,), f"nobody states the SHA-256 of model '{NAME}' ({FILE})"),
            ((NAME, "--sha256", "abc"), "--sha256 'abc' is no SHA-256: give its 64 digits"),
            ((NAME, "--sha256", SHA256, "--url", "ftp://a/b"), "address 'ftp://a/b' cannot be used"),
            (("mdx23c-dereverb",), "no address of model 'mdx23c-dereverb' (dereverb_mdx23c_sdr_6.9096.ckpt) is stated"),
            (("mdx23c-vocals", "--sha256", SHA256), "is not that of model 'mdx23c-vocals', which is 49d51472769e"),
        ],
    )
    def test_what_cannot_be_checked_or_found_is_a_usage_error(
        self, command: Command, arguments: tuple[str, ...], said: str, cache: Path
    ) -> None:
        ended = command("models", "download", *arguments)
        assert ended.code == 2
        assert said in ended.error
        assert len(ended.err.splitlines()) == 1
        assert not cache.exists()

    def test_an_unknown_name_lists_those_that_are_known(self, command: Command) -> None:
        ended = command("models", "download", "mdx23c-vocal")
        assert ended.code == 4
        assert "did you mean 'mdx23c-vocals'" in ended.error
        assert all(model.name in ended.error for model in PUBLIC_MODELS)


class TestProcesses:
    def test_of_two_at_once_one_fetches_and_both_end_with_the_file(self, server: FileServer, cache: Path) -> None:
        server.faults.append(Fault(hold_after=1_000_000))
        with start_process(*words(server)) as first:
            assert server.holding.wait(60)
            with start_process(*words(server)) as second:
                assert second.stderr.readline() == f"downloading {NAME}\n"
                assert second.stderr.readline() == f"another process is downloading {NAME}: waiting for it\n"
                server.release.set()
                outs = [process.communicate(timeout=60)[0] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0)
        assert outs == [f"{NAME}: {cache / FILE}\n", f"{NAME}: {cache / FILE} (was there, and is whole)\n"]
        assert len(server.requests) == 1
        assert (cache / FILE).read_bytes() == BODY

    def test_a_process_that_died_holds_up_nobody(self, server: FileServer, command: Command, cache: Path) -> None:
        server.faults.append(Fault(hold_after=1_000_000))
        with start_process(*words(server)) as first:
            assert server.holding.wait(60)
            first.kill()
        ended = command(*words(server))
        assert ended.code == 0
        assert "another process" not in ended.err
        assert (cache / FILE).read_bytes() == BODY

    def test_ctrl_c_keeps_what_came_and_says_so(self, server: FileServer, command: Command, cache: Path) -> None:
        server.faults.append(Fault(hold_after=1_000_000))
        with start_process(*words(server)) as process:
            assert server.holding.wait(60)
            process.send_signal(signal.SIGINT)
            server.release.set()
            _, err = process.communicate(timeout=60)
        kept = (cache / f"{FILE}.part").stat().st_size
        assert process.returncode == 130
        assert err.splitlines()[1:] == [
            f"{kept} bytes of {NAME} are kept: run the same command again to go on",
            "interrupted",
        ]
        assert command(*words(server)).code == 0
        assert server.ranges == [None, f"bytes={kept}-"]

    def test_a_full_disk_is_one_line_and_what_came_is_kept(
        self, server: FileServer, command: Command, cache: Path
    ) -> None:
        def small_files() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))

        ended = run_process(*words(server), limit=small_files)
        assert ended.code == 4
        assert f"'{cache / FILE}.part' cannot be written (File too large): free some space, or set" in ended.error
        assert "run the same command again to go on" in ended.error
        assert (cache / f"{FILE}.part").stat().st_size == 1_500_000
        assert not (cache / FILE).exists()
        assert command(*words(server)).code == 0
        assert server.ranges == [None, "bytes=1500000-"]


class TestUse:
    def test_a_model_that_is_not_there_is_not_fetched_by_itself(self, command: Command, song: Path) -> None:
        for use in (("separate", song, "-o", song.parent / "out"), ("play", song, "-o", "none")):
            ended = command(*use, "-m", "mdx23c-vocals")
            assert ended.code == 4
            assert ended.error == (
                "error: model 'mdx23c-vocals' is not on this machine: "
                "stemstream models download mdx23c-vocals fetches it (448.1 MB)"
            )
        assert files_in(song.parent) == ["song.wav"]


class TestVerify:
    def test_whole_files_are_ok(self, server: FileServer, command: Command, cache: Path) -> None:
        assert command("models", "verify").out == "no models are downloaded\n"
        command(*words(server))
        ended = command("models", "verify", NAME)
        assert (ended.code, ended.out) == (0, f"ok       {cache / FILE}\n")

    def test_a_damaged_file_is_code_4_with_the_remedy(self, server: FileServer, command: Command, cache: Path) -> None:
        command(*words(server))
        (cache / FILE).write_bytes(BODY[:-1])
        (cache / "stray.ckpt").write_bytes(b"a")
        ended = command("models", "verify", "--json")
        assert ended.code == 4
        assert ended.error == (f"error: {cache / FILE} is damaged: stemstream models download {NAME} fetches it again")
        assert f"warning: {cache / 'stray.ckpt'}: it is no model that is known here" in ended.err
        files = {Path(each["path"]).name: each for each in json.loads(ended.out)["files"]}
        assert {name: each["state"] for name, each in files.items()} == {FILE: "damaged", "stray.ckpt": "unknown"}
        assert files[FILE]["sha256"] == hashlib.sha256(BODY[:-1]).hexdigest()

    def test_a_named_model_that_is_not_there_is_code_4(self, command: Command) -> None:
        ended = command("models", "verify", "mdx23c-vocals")
        assert ended.code == 4
        assert "mdx23c-vocals is not on this machine: stemstream models download mdx23c-vocals" in ended.error


class TestList:
    def test_the_state_of_each_public_model_is_listed(self, server: FileServer, command: Command, cache: Path) -> None:
        def states() -> dict[str, str]:
            return {
                each["name"]: each["state"] for each in json.loads(command("models", "list", "--json").out)["models"]
            }

        before = states()
        assert before["spatial"] == "embedded"
        assert before["mdx23c-vocals"] == "not downloaded"
        assert before[NAME] == "needs --sha256"
        assert before["mdx23c-vocals-hq2"] == "needs --sha256 and --url"
        assert before["mdx23c-dereverb"] == "needs --url"
        server.faults.extend([Fault(cut_after=700_000), Fault(status=503)])
        command(*words(server))
        assert states()[NAME] == "partly downloaded"
        command(*words(server))
        assert states()[NAME] == "downloaded"

    def test_a_file_of_another_program_is_listed_as_such(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AUDIO_SEPARATOR_MODEL_DIR", str(tmp_path))
        (tmp_path / "MDX23C-DrumSep-aufr33-jarredou.ckpt").write_bytes(b"a")
        assert "mdx23c-drumsep-6  (in AUDIO_SEPARATOR_MODEL_DIR)\n" in command("models", "list").out

    def test_a_public_model_is_shown_in_few_lines(self, command: Command) -> None:
        lines = command("models", "list").out.splitlines()
        at = lines.index("mdx23c-drumsep-5  (not downloaded)")
        assert lines[at + 1 : at + 4] == [
            "  five parts of a drum set",
            "  stems    kick, snare, toms, hh, cymbals",
            "  audio    44100 Hz, 2 channels, 438 MB",
        ]


class TestInfo:
    def test_all_that_is_stated_of_a_public_model_is_told(self, command: Command) -> None:
        model = find_public_model("mdx23c-musdb18")
        assert model is not None
        told = json.loads(command("models", "info", "mdx23c-musdb18", "--json").out)
        assert told["urls"] == list(model.urls)
        assert (told["sha256"], told["size_bytes"], told["licence"]) == (model.sha256, 448_119_834, model.licence)
        assert (told["stems"], told["config"]) == (["vocals", "bass", "drums", "other"], model.config_name)
        text = command("models", "info", "MDX23C_D1581").out.splitlines()
        assert "sha256         not stated" in text
        assert "licence        not stated" in text

    def test_an_embedded_model_is_told_as_in_the_list(self, command: Command) -> None:
        told = json.loads(command("models", "info", "spatial", "--json").out)
        assert (told["state"], told["stems"][0]) == ("embedded", "vocals")

    def test_a_checkpoint_is_described_with_its_config(self, command: Command) -> None:
        golden = Golden("two_stems")
        ended = command("models", "info", golden.checkpoint, "--config", golden.config, "--json")
        told = json.loads(ended.out)
        assert told["sha256"] == hashlib.sha256(golden.checkpoint.read_bytes()).hexdigest()
        assert (told["format"], told["tensors"], told["kinds"]) == ("PyTorch", 319, ["float32"])
        assert (told["stems"], told["sample_rate"]) == (["vocals", "other"], 44_100)
        assert told["config"] == f"{golden.config} (given)"

    def test_where_the_config_comes_from_is_told(self, command: Command, tmp_path: Path) -> None:
        path = save_model(tmp_path / "a.ckpt")
        assert f"{tmp_path / 'a.yaml'} (beside it)" in command("models", "info", path).out
        (tmp_path / "a.yaml").unlink()
        ended = command("models", "info", path)
        assert ended.code == 0
        assert "none: name the YAML file that came with it with --config" in ended.out

    def test_an_onnx_file_is_described(self, command: Command, tiny: Path) -> None:
        told = json.loads(command("models", "info", tiny, "--json").out)
        assert (told["format"], told["stems"], told["window_frames"]) == ("ONNX", ["quarter", "other"], 2048)
        assert told["sha256"] == hashlib.sha256(tiny.read_bytes()).hexdigest()

    def test_what_does_not_load_is_refused_as_by_the_other_commands(self, command: Command, tmp_path: Path) -> None:
        path = save_model(tmp_path / "a.ckpt", config=config_data(TINY, model={"growth": 128}))
        for argument, said in (
            (path, "has model.growth 128 where"),
            (tmp_path / "b.ckpt", "does not exist: check the path"),
            (tmp_path / "b.onnx", "does not exist: check the path"),
            ("nothing", "does not exist: use a path that ends in .onnx"),
        ):
            ended = command("models", "info", argument)
            assert ended.code == 4
            assert said in ended.error
