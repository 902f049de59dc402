"""The table of public models holds together, and nothing in it can be taken for something else."""

from __future__ import annotations

import re

from engine.public_models import PUBLIC_MODELS, find_public_model


def test_names_files_and_digests_are_each_there_once() -> None:
    names = [name.lower() for model in PUBLIC_MODELS for name in (model.name, *model.files)]
    digests = [model.sha256 for model in PUBLIC_MODELS if model.sha256 is not None]
    assert len(set(names)) == len(names)
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_a_name_cannot_be_taken_for_a_path_or_leave_its_folder() -> None:
    for model in PUBLIC_MODELS:
        assert re.fullmatch("[a-z0-9-]+", model.name)
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+\.ckpt", file) for file in model.files)


def test_every_address_is_encrypted_and_names_the_file() -> None:
    for model in PUBLIC_MODELS:
        for url in model.urls:
            assert url.startswith("https://")
            assert url.rpartition("/")[2] in model.files


def test_a_stated_size_is_that_of_the_weights_and_little_more() -> None:
    for model in PUBLIC_MODELS:
        assert (model.size_bytes is None) == (model.sha256 is None)
        assert model.size_bytes is None or 437e6 < model.size_bytes < 449e6


def test_a_model_is_found_by_its_name_and_by_its_files_names() -> None:
    for name in ("mdx23c-vocals", "MDX23C-Vocals", "MDX23C-8KFFT-InstVoc_HQ", "model_vocals_mdx23c_sdr_10.17.ckpt"):
        found = find_public_model(name)
        assert found is not None
        assert found.name == "mdx23c-vocals"
    assert find_public_model("mdx23c") is None
