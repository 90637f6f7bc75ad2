"""Train the demo net: a small net with CaffeNet's layers, from a dozen free pictures.

    python tools/train_demo.py --out FOLDER

Needs numpy, pillow, torch (a CPU is enough) and scikit-image, which brings the pictures.

What it does: reads twelve pictures of the installed scikit-image, keeps one region of each for
testing, finds start values for conv1 by independent component analysis (ICA) of 11x11 patches
of the training regions, trains all layers together, measures the accuracy on crops of the
held-out regions, and writes weights.npz, mean.npy, labels.txt, metrics.json, expected.npz (every
blob for one demo picture), the demo pictures, drawings of conv1 before and after training,
demo.prototxt and, if layerscope is installed, demo.caffemodel.

Settings of the shipped net: the defaults below (1800 steps of 48 crops, SGD with momentum 0.9,
rate 0.02 falling along a cosine, weight decay 0.001, label smoothing 0.1, seed 7). It took 1181
seconds on 2 CPU cores that were also busy with other work; undisturbed they need about 36
seconds for 100 steps. All seeds are fixed, so a second run is close to the first; equality to
the last bit on another machine is not promised.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import io
from torch import nn

SIDE = 227
SCALE = 1 / 64  # used while training only; export folds it into conv1
MIN_CROP, MAX_CROP = 72, 260  # side of a crop, in pixels of the picture

# (name, Caffe type, parameters). This one table gives the torch net, the .prototxt and the
# list of layers in the .caffemodel.
CONV, POOL, LRN = "Convolution", "Pooling", "LRN"
MAX_POOL = {"pool": "MAX", "kernel_size": 3, "stride": 2}
NORM = {"local_size": 5, "alpha": 0.0001, "beta": 0.75}
DROP = {"dropout_ratio": 0.3}
LAYERS: list[tuple[str, str, dict]] = [
    ("conv1", CONV, {"num_output": 48, "kernel_size": 11, "stride": 4}),
    ("relu1", "ReLU", {}),
    ("pool1", POOL, MAX_POOL),
    ("norm1", LRN, NORM),
    ("conv2", CONV, {"num_output": 64, "pad": 2, "kernel_size": 5, "group": 2}),
    ("relu2", "ReLU", {}),
    ("pool2", POOL, MAX_POOL),
    ("norm2", LRN, NORM),
    ("conv3", CONV, {"num_output": 96, "pad": 1, "kernel_size": 3}),
    ("relu3", "ReLU", {}),
    ("conv4", CONV, {"num_output": 96, "pad": 1, "kernel_size": 3, "group": 2}),
    ("relu4", "ReLU", {}),
    ("conv5", CONV, {"num_output": 64, "pad": 1, "kernel_size": 3, "group": 2}),
    ("relu5", "ReLU", {}),
    ("pool5", POOL, MAX_POOL),
    ("fc6", "InnerProduct", {"num_output": 80}),
    ("relu6", "ReLU", {}),
    ("drop6", "Dropout", DROP),
    ("fc7", "InnerProduct", {"num_output": 64}),
    ("relu7", "ReLU", {}),
    ("drop7", "Dropout", DROP),
    ("fc8", "InnerProduct", {"num_output": 12}),
    ("prob", "Softmax", {}),
]
WEIGHTED = (CONV, "InnerProduct")


# The demo pictures, all cut from the held-out regions: the whole region, but for the cat only its
# face, because the shipped net takes the whole region, a third of it blurred ground, for tissue.
DEMO_BOXES = {
    "astronaut": (130, 0, 400, 270),
    "cat": (225, 74, 376, 300),
    "coffee": (290, 0, 540, 270),
    "rocket": (200, 90, 440, 427),
}


@dataclass(frozen=True)
class Source:
    """One picture = one class. Boxes are (left, top, right, bottom)."""

    label: str
    file: str  # in the data folder of the installed scikit-image
    test: tuple[int, int, int, int]  # the held-out region, after `window` and `shrink`
    window: tuple[int, int, int, int] | None = None  # use only this part of the picture
    shrink: int = 1


SOURCES = [
    Source("astronaut", "astronaut.png", (130, 0, 400, 270)),
    Source("brick", "brick.png", (0, 232, 280, 512)),
    Source("cat", "chelsea.png", (225, 74, 451, 300)),
    Source("coffee", "coffee.png", (290, 0, 540, 270)),
    Source("coins", "coins.png", (270, 0, 384, 303)),
    Source("galaxies", "hubble_deep_field.jpg", (500, 0, 1000, 500)),
    Source("grass", "grass.png", (232, 232, 512, 512)),
    Source("gravel", "gravel.png", (0, 0, 280, 280)),
    # the window is the square inside the round retina, without the black corners
    Source("retina", "retina.jpg", (228, 0, 488, 260), (216, 216, 1192, 1192), 2),
    Source("rocket", "rocket.jpg", (200, 90, 440, 427)),
    Source("text", "text.png", (322, 0, 448, 172)),
    Source("tissue", "ihc.png", (232, 0, 512, 280)),
]


def load(source: Source) -> np.ndarray:
    """The picture as float32 (3, height, width), BGR, 0-255."""
    image = io.imread(str(files("skimage") / "data" / source.file))
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
    if source.window:
        left, top, right, bottom = source.window
        image = image[top:bottom, left:right]
    image = image.astype(np.float32)
    # block means, so that no pixel mixes the two regions
    height, width = (n // source.shrink for n in image.shape[:2])
    blocks = image.reshape(height, source.shrink, width, source.shrink, 3)
    image = blocks.mean(axis=(1, 3))
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1), dtype=np.float32)


def training_mean(images: list[np.ndarray]) -> np.ndarray:
    """Mean B, G, R over the training pixels; every picture counts the same."""
    means = []
    for source, image in zip(SOURCES, images, strict=True):
        left, top, right, bottom = source.test
        keep = np.ones(image.shape[1:], dtype=bool)
        keep[top:bottom, left:right] = False
        means.append(image[:, keep].mean(axis=1))
    return np.round(np.mean(means, axis=0), 3).astype(np.float32)


def random_box(
    rng: np.random.Generator, source: Source, shape: tuple[int, ...], angle_limit: float
) -> tuple[float, float, float, float, float]:
    """A training crop (centre x, y, half width, half height, angle) clear of the test region.

    The upright box around the turned crop, and one pixel more for the interpolation, must lie
    inside the picture and must not touch the held-out region.
    """
    height, width = shape
    left, top, right, bottom = source.test
    largest = min(MAX_CROP, height, width)
    while True:
        side = math.exp(rng.uniform(math.log(MIN_CROP), math.log(largest)))
        stretch = math.exp(rng.uniform(-0.12, 0.12))
        half_w, half_h = side * stretch / 2, side / stretch / 2
        angle = math.radians(rng.uniform(-angle_limit, angle_limit))
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        reach_x = half_w * cos + half_h * sin + 1
        reach_y = half_w * sin + half_h * cos + 1
        if 2 * reach_x >= width or 2 * reach_y >= height:
            continue
        x = rng.uniform(reach_x, width - reach_x)
        y = rng.uniform(reach_y, height - reach_y)
        apart_x = x + reach_x <= left or x - reach_x >= right
        apart_y = y + reach_y <= top or y - reach_y >= bottom
        if apart_x or apart_y:
            return x, y, half_w, half_h, angle


def test_box(rng: np.random.Generator, source: Source) -> tuple[float, float, float, float, float]:
    """An upright square crop inside the held-out region."""
    left, top, right, bottom = source.test
    left, top, right, bottom = left + 1, top + 1, right - 1, bottom - 1  # for the interpolation
    largest = min(MAX_CROP, right - left, bottom - top)
    half = math.exp(rng.uniform(math.log(MIN_CROP), math.log(largest))) / 2
    return (
        rng.uniform(left + half, right - half),
        rng.uniform(top + half, bottom - half),
        half,
        half,
        0.0,
    )


def cut(image: torch.Tensor, box: tuple[float, ...], flip: bool, side: int = SIDE) -> torch.Tensor:
    """Cut a (turned) box out of a picture and stretch it to side x side, bilinear."""
    x, y, half_w, half_h, angle = box
    _, height, width = image.shape
    cos, sin = math.cos(angle), math.sin(angle)
    mirror = -1.0 if flip else 1.0
    theta = torch.tensor(
        [
            [mirror * half_w * cos * 2 / width, -half_h * sin * 2 / width, x * 2 / width - 1],
            [mirror * half_w * sin * 2 / height, half_h * cos * 2 / height, y * 2 / height - 1],
        ],
        dtype=torch.float32,
    )
    grid = F.affine_grid(theta[None], [1, 3, side, side], align_corners=False)
    return F.grid_sample(image[None], grid, "bilinear", "border", align_corners=False)[0]


def recolour(rng: np.random.Generator, crop: torch.Tensor) -> torch.Tensor:
    """Mild changes of brightness, contrast, colour balance; sometimes all grey."""
    if rng.random() < 0.1:
        crop = crop.mean(dim=0, keepdim=True).expand(3, -1, -1)
    gain = torch.tensor(rng.uniform(0.88, 1.12, size=(3, 1, 1)), dtype=torch.float32)
    middle = crop.mean()
    crop = (crop - middle) * rng.uniform(0.75, 1.25) + middle * rng.uniform(0.8, 1.2)
    return (crop * gain).clamp(0, 255)


class Pictures:
    """All pictures, and the crops taken from them."""

    def __init__(self) -> None:
        arrays = [load(source) for source in SOURCES]
        self.mean = training_mean(arrays)
        self.images = [torch.from_numpy(array) for array in arrays]

    def training_batch(self, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, ...]:
        """Augmented crops of the training regions, minus the mean, and their classes."""
        labels = rng.integers(len(SOURCES), size=size)
        crops = []
        for label in labels:
            image = self.images[label]
            box = random_box(rng, SOURCES[label], image.shape[1:], angle_limit=15)
            crops.append(recolour(rng, cut(image, box, rng.random() < 0.5)))
        data = torch.stack(crops) - torch.from_numpy(self.mean)[:, None, None]
        return data, torch.from_numpy(labels)

    def test_set(self, per_class: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Crops of the held-out regions, not augmented, minus the mean, and their classes."""
        rng = np.random.default_rng(seed)
        crops, labels = [], []
        for label, source in enumerate(SOURCES):
            for _ in range(per_class):
                crops.append(cut(self.images[label], test_box(rng, source), flip=False))
                labels.append(label)
        data = torch.stack(crops) - torch.from_numpy(self.mean)[:, None, None]
        return data, torch.tensor(labels)

    def patches(self, rng: np.random.Generator, count: int, size: int) -> np.ndarray:
        """Small patches (count, 3 * size * size) of the training regions, at any angle."""
        found: list[np.ndarray] = []
        while len(found) < count:
            label = int(rng.integers(len(SOURCES)))
            image = self.images[label]
            box = random_box(rng, SOURCES[label], image.shape[1:], angle_limit=180)
            crop = cut(image, box, rng.random() < 0.5).numpy()
            for _ in range(40):
                top, left = rng.integers(SIDE - size, size=2)
                found.append(crop[:, top : top + size, left : left + size].reshape(-1))
        return np.stack(found[:count]).astype(np.float64)


def ica(patches: np.ndarray, count: int, rng: np.random.Generator, rounds: int = 150) -> np.ndarray:
    """The `count` independent components of the patches (FastICA, symmetric, tanh).

    Returns the basis vectors (count, patch length), each of length 1: the small pictures of
    which the patches are mixed.
    """
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    values, vectors = values[-count:], vectors[:, -count:]
    white = centred @ (vectors / np.sqrt(values))
    turn = np.linalg.qr(rng.normal(size=(count, count)))[0]
    for _ in range(rounds):
        out = np.tanh(white @ turn.T)
        turn = out.T @ white / len(white) - (1 - out**2).mean(axis=0)[:, None] * turn
        u, _, v = np.linalg.svd(turn)
        turn = u @ v
    basis = turn @ (vectors * np.sqrt(values)).T
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def pick_varied(basis: np.ndarray, count: int) -> np.ndarray:
    """Keep `count` basis vectors that differ in direction, fineness or colour.

    Greedy: the next one is the farthest (in its spectrum, so where it sits in the tile does not
    matter) from those already taken; well centred ones are preferred to ones at the rim.
    """
    tiles = basis.reshape(len(basis), 3, 11, 11)
    window = np.hanning(13)[1:-1]
    centred = (tiles**2 * window[:, None] * window).sum(axis=(1, 2, 3))
    spectra = np.abs(np.fft.rfft2(tiles, axes=(2, 3), s=(16, 16))).reshape(len(basis), -1)
    spectra = np.concatenate([spectra, 4 * np.abs(tiles.sum(axis=(2, 3)))], axis=1)
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True)
    taken = [int(np.argmax(centred))]
    while len(taken) < count:
        nearest = (spectra @ spectra[taken].T).max(axis=1)
        score = (1 - nearest) * centred
        score[taken] = -1
        taken.append(int(np.argmax(score)))
    return basis[taken]


def first_filters(pictures: Pictures, seed: int) -> np.ndarray:
    """Start values for conv1 (48, 3, 11, 11): 24 grey and 24 colour components of the pictures.

    The grey half is ICA on brightness alone, the colour half on what is left when brightness
    is taken away; both on contrast-normalised 11x11 patches of the training regions only.
    """
    rng = np.random.default_rng(seed)
    patches = pictures.patches(rng, 60000, 11).reshape(-1, 3, 121)
    grey = patches.mean(axis=1)
    colour = (patches - grey[:, None]).reshape(-1, 363)
    grey = grey - grey.mean(axis=1, keepdims=True)
    halves = []
    for data in (np.tile(grey, (1, 3)) / math.sqrt(3), colour):
        data = data / (np.linalg.norm(data, axis=1, keepdims=True) + 60)
        halves.append(pick_varied(ica(data, 40, rng), 24))
    filters = np.concatenate(halves)
    inputs = (patches - pictures.mean[:, None]).reshape(-1, 363) * SCALE
    # a filter for weak detail gets larger weights, but not so large that all answer equally
    filters /= 2 * np.sqrt((inputs @ filters.T).std(axis=0))[:, None]
    return filters.reshape(-1, 3, 11, 11).astype(np.float32)


class DemoNet(nn.Module):
    """The net of the LAYERS table."""

    def __init__(self) -> None:
        super().__init__()
        modules: dict[str, nn.Module] = {}
        channels, size = 3, SIDE
        for name, kind, p in LAYERS:
            if kind in (CONV, POOL):
                size = (size + 2 * p.get("pad", 0) - p["kernel_size"]) // p.get("stride", 1) + 1
            if kind == CONV:
                keys = {"stride": p.get("stride", 1), "padding": p.get("pad", 0)}
                modules[name] = nn.Conv2d(
                    channels, p["num_output"], p["kernel_size"], groups=p.get("group", 1), **keys
                )
            elif kind == "InnerProduct":
                modules[name] = nn.Linear(channels * size * size, p["num_output"])
                size = 1
            channels = p.get("num_output", channels)
        self.weighted = nn.ModuleDict(modules)
        for module in modules.values():
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor, keep: dict[str, torch.Tensor] | None = None):
        """The values of fc8. With `keep`, every blob is stored there, as Caffe would name it."""
        logits, top = x, "data"
        for name, kind, p in LAYERS:
            if name in self.weighted:
                x = self.weighted[name](x.flatten(1) if kind == "InnerProduct" else x)
                top, logits = name, x
            elif kind == "ReLU":
                if keep is not None:
                    keep[f"{top}:before_relu"] = x
                x = F.relu(x)
            elif kind == POOL:
                x, top = F.max_pool2d(x, p["kernel_size"], p["stride"]), name
            elif kind == LRN:
                x, top = F.local_response_norm(x, p["local_size"], p["alpha"], p["beta"]), name
            elif kind == "Dropout":
                x = F.dropout(x, p["dropout_ratio"], self.training)
            elif keep is not None:  # Softmax
                x, top = F.softmax(x, dim=1), name
            if keep is not None:
                keep[top] = x
        return logits


def train(net: DemoNet, pictures: Pictures, args: argparse.Namespace) -> None:
    """SGD with momentum; the rate rises, then falls along a cosine."""
    rng = np.random.default_rng(args.seed + 1)
    torch.manual_seed(args.seed + 1)
    optimiser = torch.optim.SGD(
        net.parameters(), lr=args.rate, momentum=0.9, weight_decay=args.decay, nesterov=True
    )
    net.train().to(memory_format=torch.channels_last)  # faster on a CPU; same values
    start, hits, loss_sum = time.perf_counter(), 0, 0.0
    for step in range(1, args.steps + 1):
        warm = min(1.0, step / 200)
        rate = args.rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        optimiser.param_groups[0]["lr"] = rate
        data, labels = pictures.training_batch(rng, args.batch)
        logits = net((data * SCALE).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, labels, label_smoothing=args.smoothing)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        hits += int((logits.argmax(dim=1) == labels).sum())
        loss_sum += float(loss.detach())
        if step % 100 == 0:
            seconds = time.perf_counter() - start
            share = hits / (100 * args.batch)
            print(f"{step:6} loss {loss_sum / 100:.3f} right {share:.3f} {seconds:6.0f} s")
            hits, loss_sum = 0, 0.0


def fold_scale(net: DemoNet, probe: torch.Tensor) -> None:
    """Move SCALE into conv1's weights, so the net takes plain 0-255 values minus the mean."""
    net.eval().to(memory_format=torch.contiguous_format)
    with torch.no_grad():
        before = net(probe * SCALE)
        net.weighted["conv1"].weight.mul_(SCALE)
        after = net(probe)
    worst = float((before - after).abs().max())
    print(f"scale folded into conv1: largest change of an fc8 value {worst:.2e}")
    if worst > 1e-3:
        raise RuntimeError("folding the input scale changed the net")


def evaluate(net: DemoNet, data: torch.Tensor, labels: torch.Tensor) -> dict:
    """Accuracy on the test crops, per class, confusion, and the channels that never answer."""
    net.eval()
    count = len(SOURCES)
    confusion = np.zeros((count, count), dtype=int)
    highest: dict[str, torch.Tensor] = {}
    sure = []
    with torch.no_grad():
        for part, truth in zip(data.split(64), labels.split(64), strict=True):
            blobs: dict[str, torch.Tensor] = {}
            net(part, blobs)
            np.add.at(confusion, (truth.numpy(), blobs["prob"].argmax(dim=1).numpy()), 1)
            sure.append(blobs["prob"].max(dim=1).values)
            for name, kind, _ in LAYERS:
                if kind in WEIGHTED and name != "fc8":
                    peak = (
                        blobs[name].flatten(2) if blobs[name].ndim > 2 else blobs[name][..., None]
                    )
                    peak = peak.amax(dim=(0, 2))
                    highest[name] = torch.maximum(highest.get(name, peak), peak)
    right = confusion.diagonal()
    return {
        "test_crops": int(confusion.sum()),
        "accuracy": round(float(right.sum() / confusion.sum()), 4),
        "mean_confidence": round(float(torch.cat(sure).mean()), 4),
        "per_class": {
            source.label: round(float(right[i] / confusion[i].sum()), 4)
            for i, source in enumerate(SOURCES)
        },
        "confusion_rows_are_truth": confusion.tolist(),
        "dead_channels": {k: f"{int((v <= 0).sum())} of {len(v)}" for k, v in highest.items()},
    }


def filter_report(first: np.ndarray, last: np.ndarray) -> dict:
    """How far conv1 moved from its start, and how alike its two most alike filters are."""

    def unit(filters: np.ndarray) -> np.ndarray:
        flat = filters.reshape(len(filters), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    stay = (unit(first) * unit(last)).sum(axis=1)
    alike = unit(last) @ unit(last).T - 2 * np.eye(len(last))
    norms = np.linalg.norm(last.reshape(len(last), -1), axis=1)
    return {
        "cosine_start_to_end_min_median_max": [
            round(float(f(stay)), 3) for f in (np.min, np.median, np.max)
        ],
        "largest_cosine_between_two_filters": round(float(alike.max()), 3),
        "norm_smallest_over_largest": round(float(norms.min() / norms.max()), 3),
    }


def draw_filters(filters: np.ndarray, path: Path, zoom: int = 8, columns: int = 8) -> None:
    """conv1 as a grid of RGB tiles, each stretched to its own range around mid grey."""
    rows = -(-len(filters) // columns)
    sheet = np.full((rows * 12 + 1, columns * 12 + 1, 3), 0.15)
    for i, tile in enumerate(filters):
        tile = tile[::-1].transpose(1, 2, 0)
        top, left = (i // columns) * 12 + 1, (i % columns) * 12 + 1
        sheet[top : top + 11, left : left + 11] = tile / np.abs(tile).max() / 2 + 0.5
    sheet = (sheet * 255).round().astype(np.uint8)
    io.imsave(str(path), sheet.repeat(zoom, axis=0).repeat(zoom, axis=1), check_contrast=False)


def read_demo(path: Path, mean: np.ndarray) -> torch.Tensor:
    """A picture file as the net's input: the whole picture stretched to 227x227."""
    image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32)[..., ::-1] - mean
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def cut_demos(folder: Path, pictures: Pictures) -> list[Path]:
    """Save the demo pictures as JPEG files."""
    paths = []
    for source, image in zip(SOURCES, pictures.images, strict=True):
        if source.label in DEMO_BOXES:
            left, top, right, bottom = DEMO_BOXES[source.label]
            region = image[:, top:bottom, left:right].numpy()[::-1].transpose(1, 2, 0)
            path = folder / f"{source.label}.jpg"
            Image.fromarray(region.round().astype(np.uint8)).save(path, quality=92)
            paths.append(path)
    return paths


def check_demos(net: DemoNet, paths: list[Path], mean: np.ndarray, folder: Path) -> dict:
    """What the net says about the demo pictures; the first one's blobs go to expected.npz."""
    answers = {}
    for path in paths:
        blobs: dict[str, torch.Tensor] = {}
        data = read_demo(path, mean)
        with torch.no_grad():
            net(data, blobs)
        order = blobs["prob"][0].argsort(descending=True)[:3]
        answers[path.name] = [
            [SOURCES[int(i)].label, round(float(blobs["prob"][0, i]), 4)] for i in order
        ]
        if path == paths[0]:
            arrays = {name: value.numpy() for name, value in blobs.items()}
            np.savez_compressed(folder / "expected.npz", data=data.numpy(), **arrays)
    return answers


def proto_message(name: str, fields: list[tuple[str, object]], indent: int = 0) -> str:
    """A protobuf text message, one field per line; nested lists are nested messages."""
    pad = "  " * indent
    lines = [f"{pad}{name} {{"]
    for key, value in fields:
        if isinstance(value, list):
            lines.append(proto_message(key, value, indent + 1))
        else:
            lines.append(f"{pad}  {key}: {value}")
    return "\n".join([*lines, f"{pad}}}"])


def prototxt(mean: np.ndarray) -> str:
    """The net as Caffe's modern text form, with in-place ReLU and Dropout."""
    shape = [("shape", [("dim", n) for n in (1, 3, SIDE, SIDE)])]
    means = [("mean_value", f"{value:g}") for value in mean.tolist()]
    fields: list[tuple[str, object]] = [("name", '"data"'), ("type", '"Input"'), ("top", '"data"')]
    fields += [("input_param", shape), ("transform_param", means)]
    parts = ['name: "layerscope-demo"', proto_message("layer", fields)]
    top = "data"
    keys = {CONV: "convolution_param", POOL: "pooling_param", LRN: "lrn_param"}
    keys |= {"InnerProduct": "inner_product_param", "Dropout": "dropout_param"}
    for name, kind, p in LAYERS:
        bottom = top
        top = top if kind in ("ReLU", "Dropout") else name
        fields = [("name", f'"{name}"'), ("type", f'"{kind}"')]
        fields += [("bottom", f'"{bottom}"'), ("top", f'"{top}"')]
        if p:
            fields.append((keys[kind], list(p.items())))
        parts.append(proto_message("layer", fields))
    return "\n".join(parts) + "\n"


def export(folder: Path, weights: dict[str, np.ndarray], mean: np.ndarray, labels: list[str]):
    """Write labels.txt, demo.prototxt and, if layerscope is installed, demo.caffemodel."""
    (folder / "labels.txt").write_text("\n".join(labels) + "\n")
    (folder / "demo.prototxt").write_text(prototxt(mean))
    try:
        from layerscope.readers.caffe.write import write_caffemodel
    except ImportError:
        print("layerscope is not installed: demo.caffemodel not written")
        return
    layers = [("data", "Input", [])]
    for name, kind, _ in LAYERS:
        arrays = [weights[f"{name}/{i}"] for i in (0, 1)] if kind in WEIGHTED else []
        layers.append((name, kind, arrays))
    write_caffemodel(folder / "demo.caffemodel", "layerscope-demo", layers)


def save(folder: Path, net: DemoNet, mean: np.ndarray) -> dict[str, np.ndarray]:
    """weights.npz and mean.npy, then everything that export() writes."""
    weights = {}
    for name, module in net.weighted.items():
        weights[f"{name}/0"] = module.weight.detach().numpy()
        weights[f"{name}/1"] = module.bias.detach().numpy()
    np.savez(folder / "weights.npz", **weights)
    np.save(folder / "mean.npy", mean)
    export(folder, weights, mean, [source.label for source in SOURCES])
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo net.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--decay", type=float, default=1e-3)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--test-crops", type=int, default=100, help="per class")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    pictures = Pictures()
    torch.manual_seed(args.seed)
    net = DemoNet()
    first = first_filters(pictures, args.seed)
    with torch.no_grad():
        net.weighted["conv1"].weight.copy_(torch.from_numpy(first))
    draw_filters(first, args.out / "conv1_start.png")
    train(net, pictures, args)
    data, labels = pictures.test_set(args.test_crops, args.seed + 2)
    fold_scale(net, data[::50])
    weights = save(args.out, net, pictures.mean)
    draw_filters(weights["conv1/0"], args.out / "conv1.png")
    metrics = {"settings": {k: v for k, v in vars(args).items() if k != "out"}}
    metrics |= {"numbers": sum(w.size for w in weights.values())}
    metrics |= evaluate(net, data, labels)
    metrics["conv1"] = filter_report(first, weights["conv1/0"])
    demos = cut_demos(args.out, pictures)
    metrics["demo_pictures"] = check_demos(net, demos, pictures.mean, args.out)
    metrics["seconds"] = round(time.perf_counter() - start)
    (args.out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    print(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
