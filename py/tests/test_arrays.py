"""NumPy arrays that are built in the queue."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import eshm
from conftest import PATIENCE

if TYPE_CHECKING:
    Pair = tuple[eshm.Endpoint, eshm.Endpoint]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (7, np.float64),
        ((3, 4, 5), "u1"),
        ([2, np.int64(3)], [("x", "<f4"), ("id", "<u2")]),
        ((), np.int32),
        ((0, 5), np.float32),
        (np.array([2, 3]), np.float32),
        (np.array([7]), "u1"),
    ],
)
def test_an_array_is_built_in_the_queue(pair: Pair, shape: Any, dtype: Any) -> None:
    master, slave = pair
    values = np.frombuffer(bytes(range(240)), np.uint8)
    with master.loan_array(shape, dtype) as loan:
        assert loan.array.dtype == np.dtype(dtype)
        assert loan.array.shape == (tuple(shape) if np.iterable(shape) else (shape,))
        size = loan.array.nbytes
        loan.array.reshape(-1).view(np.uint8)[:] = values[:size]
        loan.send()
    assert slave.recv(PATIENCE) == values[:size].tobytes()


def test_an_array_that_is_still_used_is_not_sent(pair: Pair) -> None:
    master, slave = pair
    loan = master.loan_array(4, np.uint8)
    array = loan.array
    with pytest.raises(eshm.InUseError, match="views of the loan"):
        loan.send()
    array[:] = 7
    del array
    loan.send()
    assert slave.recv(PATIENCE) == b"\7\7\7\7"
    with pytest.raises(eshm.InUseError, match="is over"):
        loan.array  # noqa: B018 - the property raises


def test_an_array_that_is_not_sent_is_released(pair: Pair) -> None:
    master, slave = pair
    with master.loan_array(4, np.uint8) as loan:
        loan.array[:] = 1
    master.loan_array(4, np.uint8).release()
    master.send(b"next")
    assert slave.recv(PATIENCE) == b"next"


@pytest.mark.parametrize(
    ("shape", "dtype", "error"),
    [
        (-1, "u1", eshm.InvalidError),
        ((2, -1), "u1", eshm.InvalidError),
        (2, object, eshm.InvalidError),
        (2, "no dtype", TypeError),
        (2.5, "u1", TypeError),
        ("4", "u1", TypeError),
        (1 << 40, "u1", eshm.TooLargeError),
        (1 << 70, "u1", eshm.InvalidError),
        (1 << 61, "f8", eshm.InvalidError),
        ((0, 1 << 62, 4), "u1", eshm.InvalidError),
        ((1,) * 1000, "u1", eshm.InvalidError),
        (2, "3f4", eshm.InvalidError),
        (2, "S", eshm.InvalidError),
        (2, [], eshm.InvalidError),
    ],
)
def test_invalid_shapes_and_dtypes_are_refused(
    pair: Pair, shape: Any, dtype: Any, error: type[Exception]
) -> None:
    master, slave = pair
    with pytest.raises(error):
        master.loan_array(shape, dtype)
    master.send(b"next")
    assert slave.recv(PATIENCE) == b"next"


def test_numpy_is_imported_only_for_arrays() -> None:
    script = "import sys, eshm; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
