"""Surround comes down to what a model takes, and stereo on a surround output comes as it was played."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.audio.loopback.downmix import downmix_matrix


@pytest.mark.parametrize("channels", [1, 2])
def test_as_many_channels_as_are_asked_for_are_left_alone(channels: int) -> None:
    assert downmix_matrix(channels, channels) is None


@pytest.mark.parametrize("source_channels", [3, 4, 5, 6, 7, 8, 12])
def test_stereo_on_an_output_with_more_channels_comes_as_it_was_played(source_channels: int) -> None:
    matrix = downmix_matrix(source_channels, 2)
    assert matrix is not None
    played = np.zeros((source_channels, 3), np.float32)
    played[:2] = [[0.1, 0.2, 0.3], [-0.4, 0.5, 1.0]]
    np.testing.assert_array_equal(matrix @ played, played[:2])


def test_the_centre_goes_to_both_sides_and_the_subwoofer_to_none() -> None:
    matrix = downmix_matrix(6, 2)
    assert matrix is not None
    np.testing.assert_allclose(matrix[:, 2], np.sqrt(0.5))
    np.testing.assert_array_equal(matrix[:, 3], 0.0)
    np.testing.assert_allclose(matrix[:, 4:], np.sqrt(0.5) * np.eye(2))


@pytest.mark.parametrize("source_channels", [2, 6])
def test_one_channel_is_the_mean_of_both_sides(source_channels: int) -> None:
    matrix = downmix_matrix(source_channels, 1)
    assert matrix is not None
    np.testing.assert_array_equal(matrix[0, :2], 0.5)


def test_one_channel_of_the_device_goes_to_both() -> None:
    matrix = downmix_matrix(1, 2)
    assert matrix is not None
    np.testing.assert_array_equal(matrix, np.ones((2, 1)))
