"""Array work that keeps the interpreter's lock does what NumPy's own does."""

from __future__ import annotations

import numpy as np
import pytest

from engine.lock_keeping import FiniteCheck, copy, pieces

SHAPES = [(), (0,), (1,), (500,), (501,), (2, 250), (3, 2, 128), (4, 2, 512), (2, 600, 3), (40_000,), (2, 30_000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
def test_a_copy_is_equal(shape: tuple[int, ...], dtype: str) -> None:
    source = (np.random.default_rng(0).normal(0.0, 10.0, shape) * np.ones(shape)).astype(dtype)
    out = np.zeros(shape, dtype)
    copy(out, source)
    np.testing.assert_array_equal(out, source)


@pytest.mark.parametrize("n", [100, 700, 40_000])
def test_a_copy_goes_between_any_strides(n: int) -> None:
    source = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    out = np.zeros((3, 2 * n), np.float32)
    copy(out[:, ::2], source.T)
    np.testing.assert_array_equal(out[:, ::2], source.T)
    assert not out[:, 1::2].any()


@pytest.mark.parametrize("n", [100, 700, 40_000])
def test_a_copy_may_overlap_its_source(n: int) -> None:
    line = np.arange(n + 10, dtype=np.float32)
    copy(line[:n], line[10:])
    np.testing.assert_array_equal(line[:n], np.arange(10, n + 10))


@pytest.mark.parametrize("n", [100, 700])
def test_doubles_become_single_floats(n: int) -> None:
    source = np.random.default_rng(0).normal(size=(2, n))
    out = np.zeros((2, n), np.float32)
    copy(out, source)
    np.testing.assert_array_equal(out, source.astype(np.float32))


@pytest.mark.parametrize("n", [100, 700])
def test_another_shape_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"broadcast|structures"):
        copy(np.zeros((2, n), np.float32), np.zeros((2, n + 1), np.float32))


@pytest.mark.parametrize("rows", [1, 2, 8, 501])
@pytest.mark.parametrize("frames", [0, 1, 63, 250, 251, 512, 5000])
def test_pieces_cover_every_frame_once(rows: int, frames: int) -> None:
    covered = [n for piece in pieces(rows, frames) for n in range(frames)[piece]]
    assert covered == list(range(frames))


@pytest.mark.parametrize("shape", SHAPES)
def test_finite_numbers_are_told(shape: tuple[int, ...]) -> None:
    check = FiniteCheck(shape)
    assert check(np.zeros(shape, np.float32))
    assert check.flags.shape == shape
    assert check.flags.all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(1,), (4, 2, 512), (40_000,)])
@pytest.mark.parametrize("place", [0, -1])
def test_one_bad_number_is_found_where_it_is(value: float, shape: tuple[int, ...], place: int) -> None:
    check, array = FiniteCheck(shape), np.zeros(shape, np.float32)
    array.reshape(-1)[place] = value
    assert not check(array)
    np.testing.assert_array_equal(check.flags, np.isfinite(array))
    array[...] = 0.0
    assert check(array)
