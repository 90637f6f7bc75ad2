"""How long all grids of a GoogLeNet run take, as PNG files: ours, and the classic notebook's way.

The classic way is the one of Caffe's notebooks: pad, tile, `imshow`, `savefig`.
"""

from __future__ import annotations

import gc
import io

import numpy as np
import numpy.typing as npt

from benchmarks.nets import NetFiles, images
from benchmarks.timing import Figure, rounds
from layerscope.pictures import grid

GOAL = 20.0
Maps = dict[str, npt.NDArray[np.float32]]


def measure(files: NetFiles, *, quick: bool) -> list[Figure]:
    """Every blob with maps of a run at batch 1, drawn in both ways in turn."""
    gc.collect()
    net = files.open()
    blobs = net.run(_smooth(images(net, 1)))
    maps: Maps = {name: blob[0] for name, blob in blobs.items() if blob.ndim == 4}
    count = 1 if quick else 3
    works = {
        "ours": lambda: _ours(maps),
        "pixels": lambda: [grid(each) for each in maps.values()],
        "classic": lambda: _classic(maps),
    }
    _classic({"warm": maps["data"]})
    found = rounds(works, count, warm=0 if quick else 1)
    values = sum(each.size for each in maps.values()) / 1e6
    return [
        Figure(f"{files.name}: all grids as PNG, classic / ours", found.ratio("classic", "ours"),
               "x", GOAL, at_least=True, note=f"{len(maps)} grids, {values:.1f} M values"),
        Figure(f"{files.name}:   ours", found.median("ours"), "s",
               note=f"{_ours(maps) / 1e6:.1f} MB, {count} rounds"),
        Figure(f"{files.name}:   ours, pixels without PNG", found.median("pixels"), "s"),
        Figure(f"{files.name}:   classic, matplotlib", found.median("classic"), "s"),
    ]  # fmt: skip


def _smooth(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Noise with neighbours alike: about as hard to compress, layer for layer, as a photograph."""
    side = 9
    sums = np.pad(batch, ((0, 0), (0, 0), (side, 0), (side, 0)), mode="wrap").cumsum(2).cumsum(3)
    inner = sums[..., side:, side:] - sums[..., :-side, side:]
    inner = inner - sums[..., side:, :-side] + sums[..., :-side, :-side]
    smooth: npt.NDArray[np.float32] = inner / side
    return smooth


def _ours(maps: Maps) -> int:
    return sum(len(grid(each, title=name).png()) for name, each in maps.items())


def _classic(maps: Maps) -> int:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["figure.figsize"] = (10, 10)
    plt.rcParams["image.interpolation"] = "nearest"
    plt.rcParams["image.cmap"] = "gray"
    total = 0
    for name, each in maps.items():
        file = io.BytesIO()
        plt.figure()
        plt.imshow(_square(each))
        plt.title(name)
        plt.axis("off")
        plt.savefig(file, format="png")
        plt.close()
        total += file.tell()
    return total


def _square(data: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The tiles as one plane with white lines between, as the classic notebook lays them out."""
    spread = data.max() - data.min()
    data = (data - data.min()) / (spread if spread else 1)
    side = int(np.ceil(np.sqrt(data.shape[0])))
    data = np.pad(data, ((0, side**2 - data.shape[0]), (0, 1), (0, 1)), constant_values=1)
    _, height, width = data.shape
    data = data.reshape(side, side, height, width).transpose(0, 2, 1, 3)
    return data.reshape(side * height, side * width)
