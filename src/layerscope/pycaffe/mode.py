"""The modes of the whole module: phase numbers, CPU and GPU, the random seed."""

from __future__ import annotations

import sys
import warnings

from layerscope.readers.caffe.registry import layer_types

TRAIN, TEST = 0, 1


class _State:
    said = False
    seed = 0
    drawn = 0


def set_mode_cpu() -> None:
    """Run on the CPU, as always here."""


def set_mode_gpu() -> None:
    """Say, once, that the CPU is used all the same."""
    _say_cpu()


def set_device(device: int) -> None:
    """Say, once, that the CPU is used all the same."""
    _say_cpu()


def _say_cpu() -> None:
    if not _State.said:
        _State.said = True
        warnings.warn("layerscope.pycaffe runs on the CPU; the GPU is not used", stacklevel=3)


def init_log(level: int = 0, to_stderr: bool = True) -> None:
    """Begin logging, in Caffe; nothing has to be begun here."""


def log(message: str) -> None:
    """Write a line to stderr, where Caffe's own messages go."""
    print(message, file=sys.stderr)


def set_random_seed(seed: int) -> None:
    """Begin the random numbers of fillers and DummyData anew."""
    _State.seed, _State.drawn = int(seed), 0


def next_seed() -> str:
    """A seed for the next array of random numbers."""
    _State.drawn += 1
    return f"{_State.seed}/{_State.drawn}"


def layer_type_list() -> list[str]:
    """The names of the layer types that are known, sorted."""
    return list(layer_types())
