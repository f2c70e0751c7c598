"""NumPy arrays in the queue. NumPy is imported when the first one is asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, SupportsIndex, cast

from eshm._errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from eshm._eshm import Endpoint, Loan


class ArrayLoan:
    """A message that is being built in the queue as a NumPy array, from `Endpoint.loan_array`.

    >>> with robot.loan_array((480, 640, 3), np.uint8) as loan:
    ...     loan.array[:] = frame
    ...     loan.send()

    Its content is arbitrary at first. Until it is sent or released, the endpoint sends nothing else.
    `send` and `release` raise InUseError while an array of it is still referred to: use `loan.array` within
    an expression, or `del` the name that you bound to it.
    """

    __slots__ = ("_dtype", "_loan", "_shape")

    def __init__(self, loan: Loan, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Use the memory of `loan`, which has the size of such an array."""
        self._loan = loan
        self._shape = shape
        self._dtype = dtype

    @property
    def array(self) -> NDArray[Any]:
        """The array: a new view of the loan's memory."""
        import numpy as np  # noqa: PLC0415 - optional

        if len(self._loan) == 0:
            return np.empty(self._shape, self._dtype)
        # `np.ndarray(buffer=…)` releases its buffer at once: the loan could be sent while the array is used.
        return np.frombuffer(self._loan, self._dtype).reshape(self._shape)

    def send(self) -> None:
        """Send the message and end the loan."""
        self._loan.send()

    def release(self) -> None:
        """Return the memory to the queue, unsent."""
        self._loan.release()

    def __enter__(self) -> Self:
        """Return this loan."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release the memory if the message was not sent."""
        self._loan.__exit__(exc_type, exc, traceback)


def loan_array(
    endpoint: Endpoint,
    shape: SupportsIndex | Iterable[SupportsIndex],
    dtype: DTypeLike,
    timeout: float | None,
) -> ArrayLoan:
    """Do what `Endpoint.loan_array` promises."""
    lengths, item = form(endpoint, shape, dtype)
    return ArrayLoan(endpoint.loan(math.prod(lengths) * item.itemsize, timeout), lengths, item)


def form(
    endpoint: Endpoint, shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type of the items of an array that can be sent."""
    import numpy as np  # noqa: PLC0415 - optional

    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise InvalidError(
            f"segment '{endpoint.name}': dtype {dtype} holds Python objects, which another process cannot use"
        )
    if dtype.subdtype is not None:
        raise InvalidError(
            f"segment '{endpoint.name}': dtype {dtype} is an array: append its shape to that of the loan"
        )
    if dtype.itemsize == 0:
        raise InvalidError(f"segment '{endpoint.name}': dtype {dtype} has no size, give it one")
    try:
        # Takes the memory of one item, and checks the shape as NumPy does.
        lengths = np.broadcast_to(np.empty((), dtype), cast("Iterable[int]", shape)).shape
    except (ValueError, OverflowError) as error:
        raise InvalidError(f"segment '{endpoint.name}': no array has this shape: {error}") from None
    return lengths, dtype
