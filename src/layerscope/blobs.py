"""The blobs of one run: name to array, with what was fed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layerscope.errors import ReadError
from layerscope.files import write_file
from layerscope.net import Named

if TYPE_CHECKING:
    from layerscope.inputs import Fed


class Blobs(Mapping[str, NDArray[Any]]):
    """Every blob of one run, in the order of the net.

    `blobs["conv1"]` is the last write of that blob, as in Caffe; the value before an in-place ReLU
    is `blobs["conv1@conv1"]` (blob@layer).  Any write may be asked for by blob@layer.

    Attributes:
        fed: what was put into each input: the picture as the net saw it, and how it was made.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        fed: Mapping[str, Fed] | None = None,
        aliases: Mapping[str, str] | None = None,
        net_name: str = "",
    ) -> None:
        self._arrays = Named(arrays, "blob", f'net "{net_name}"' if net_name else "this run")
        self._aliases = dict(aliases or {})
        self.fed = dict(fed or {})

    def __getitem__(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = self._arrays[self._aliases.get(name, name)]
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._arrays or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def nbytes(self) -> int:
        """The memory that the arrays hold, counting each array once."""
        return sum({id(a): a.nbytes for a in self.values()}.values())

    def save(self, path: str | PathLike[str]) -> None:
        """Write all arrays into one `.npz` file (names are escaped, see `load`)."""
        buffer = io.BytesIO()
        names = np.array(list(self), dtype=np.str_)
        arrays = {f"blob{i}": array for i, array in enumerate(self.values())}
        np.savez(buffer, names=names, **arrays)  # type: ignore[arg-type]
        write_file(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Blobs:
        """Read a file that `save` wrote.

        Raises:
            ReadError: the file is not such a file.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                names = [str(name) for name in file["names"]]
                return cls({name: file[f"blob{i}"] for i, name in enumerate(names)})
        except (OSError, ValueError, KeyError) as error:
            raise ReadError(f"{Path(path).name}: not blobs saved by layerscope ({error})") from None

    def __repr__(self) -> str:
        rows = (f"  {name:24} {array.shape}" for name, array in self.items())
        return "\n".join([f"<{len(self)} blobs>", *rows])
