"""Blob: numbers that scripts read and write in place, as `caffe.Blob` has them.

Behaviour: `caffe/src/caffe/blob.cpp` (Reshape, LegacyShape) and `python/caffe/_caffe.cpp`.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layerscope.pycaffe.errors import CaffeError
from layerscope.text import shape as shown

Array = NDArray[np.float32]


class Memory:
    """One run of float32 numbers that may be handed out.

    Attributes:
        array: the numbers, contiguous.
        lent: whether somebody else reads `array` (a mapped file, a session), so that it is copied
            before anybody may write into it.
        opened: how often it was handed out or written.
    """

    __slots__ = ("array", "lent", "opened")

    def __init__(self, array: Array, *, lent: bool = False) -> None:
        # Views on a view refer to the array below it, and `held` would not see them.
        self.array = np.array(array) if not lent and array.base is not None else array
        self.lent = lent
        self.opened = 0

    def open(self) -> Array:
        """The numbers, to be written into."""
        self.opened += 1
        if self.lent:
            self.array, self.lent = np.array(self.array), False
        return self.array

    def write(self, values: Array) -> None:
        """Put as many numbers in place; whoever holds the array sees them.

        Args:
            values: float32, at most as many as there is room for.
        """
        if self.held or values.size < self.array.size:
            flat = self.open().reshape(-1)
            np.copyto(flat[: values.size], values.reshape(-1))
        else:
            self.opened += 1
            self.array, self.lent = values, True

    @property
    def held(self) -> bool:
        """Whether somebody outside may still write: a view on the array is alive somewhere."""
        return not self.lent and _references(self) > _ALONE

    def kept(self) -> Array:
        """The numbers as they are now, in an array that will not change."""
        return self.array if self.lent else np.array(self.array)


def _references(memory: Memory) -> int:
    return sys.getrefcount(memory.array)


_ALONE = _references(Memory(np.zeros(1, np.float32)))


class Blob:
    """A blob of a net or a param of a layer.

    `data` and `diff` are arrays of float32 in the blob's shape; writing into them changes the blob,
    as in pycaffe, also while the array is held over several runs.
    """

    def __init__(self, shape: Sequence[int], memory: Memory | None = None) -> None:
        self._shape = tuple(int(d) for d in shape)
        self._data = memory or Memory(np.zeros(prod(self._shape), np.float32))
        self._diff = Memory(np.zeros(0, np.float32))

    @property
    def data(self) -> Array:
        """The numbers, writable, in the blob's shape."""
        return self._view(self._data)

    @property
    def diff(self) -> Array:
        """The gradient, writable; zeros until a backward pass."""
        if self._diff.array.size < self.count:
            self._diff = Memory(np.zeros(self.count, np.float32))
        return self._view(self._diff)

    @property
    def shape(self) -> list[int]:
        """The length of each axis."""
        return list(self._shape)

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return prod(self._shape)

    @property
    def num(self) -> int:
        """The first axis, or 1."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """The second axis, or 1."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """The third axis, or 1."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """The fourth axis, or 1."""
        return self._legacy(3)

    def reshape(self, *dims: int) -> None:
        """Give it another shape; numbers stay where there was room for as many, else are zero.

        Raises:
            CaffeError: an axis is negative, or there are more than 32.
        """
        new = tuple(operator.index(d) for d in dims)
        if len(new) > 32 or any(d < 0 for d in new) or prod(new) > 2**31 - 1:
            raise CaffeError(f"a blob cannot have the shape {shown(new[:33])}")
        if prod(new) > self._data.array.size:
            self._data = Memory(np.zeros(prod(new), np.float32))
        self._shape = new

    # --- for the net ---

    @property
    def memory(self) -> Memory:
        """Where the numbers are."""
        return self._data

    def share(self, other: Blob) -> None:
        """Use the numbers of another blob from now on."""
        self._data = other._data

    def numbers(self) -> Array:
        """The numbers in the blob's shape, to be read only."""
        return self._data.array.reshape(-1)[: self.count].reshape(self._shape)

    def put(self, values: NDArray[Any]) -> None:
        """Take the numbers and the shape of an array that is this blob's from now on."""
        array = np.asarray(values, np.float32, order="C")
        room = self._data.array.size
        self._shape = array.shape
        if array.size <= room and self._data.held:
            self._data.write(array)
        else:
            self._data = Memory(array)

    def fit(self, shape: Sequence[int]) -> None:
        """Take a shape that follows from the net."""
        if tuple(shape) != self._shape:
            self.reshape(*shape)

    @property
    def gradient(self) -> Array:
        """The diff in the blob's shape, to be read only."""
        if self._diff.array.size < self.count:
            return np.zeros(self._shape, np.float32)
        return self._diff.array.reshape(-1)[: self.count].reshape(self._shape)

    def put_diff(self, values: NDArray[Any]) -> None:
        """Write the gradient; whoever holds the diff sees it."""
        array = np.asarray(values, np.float32, order="C")
        if self._diff.array.size < self.count:
            self._diff = Memory(np.zeros(self.count, np.float32))
        self._diff.write(array)

    def clear_diff(self) -> None:
        """Set the gradient to zero; whoever holds it sees that."""
        self._diff.array[...] = 0

    def _view(self, memory: Memory) -> Array:
        return memory.open().reshape(-1)[: self.count].reshape(self._shape)

    def _legacy(self, axis: int) -> int:
        if len(self._shape) > 4:
            raise CaffeError(
                f"a blob of shape {shown(self._shape)} has no num, channels, height and width;"
                " use shape"
            )
        return self._shape[axis] if axis < len(self._shape) else 1

    def __repr__(self) -> str:
        return f"<caffe Blob {shown(self._shape)}>"
