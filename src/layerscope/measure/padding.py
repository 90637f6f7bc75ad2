"""How far a window of a convolution or pooling begins before the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def pads_before(
    settings: Mapping[str, Any],
    kernel: Sequence[int],
    image: Sequence[int],
    out: Sequence[int],
    *,
    transposed: bool = False,
) -> list[int]:
    """The pads at the beginning of each spatial axis, those of `auto_pad` and `output_shape` too.

    They follow from the sizes of image and output, as in ONNX's Conv, ConvTranspose and pools.

    Args:
        settings: the node's attributes.
        kernel: the size of the window along each spatial axis.
        image: what the windows lie on: the input, of a ConvTranspose the output.
        out: how many windows there are: the output, of a ConvTranspose the input.
        transposed: whether it is a ConvTranspose.
    """
    axes = len(kernel)
    auto = settings.get("auto_pad", b"NOTSET")
    if auto == b"VALID":
        return [0] * axes
    solved = auto in (b"SAME_UPPER", b"SAME_LOWER") or (transposed and "output_shape" in settings)
    if not solved:
        return list(settings.get("pads") or [0] * 2 * axes)[:axes]
    strides = settings.get("strides") or [1] * axes
    dilations = settings.get("dilations") or [1] * axes
    more = (settings.get("output_padding") if transposed else None) or [0] * axes
    total = [
        max(0, strides[i] * (out[i] - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1 - image[i])
        for i in range(axes)
    ]
    # With an odd one over, a ConvTranspose puts it first unless told otherwise.
    upper = auto == b"SAME_UPPER" or (auto != b"SAME_LOWER" and not transposed)
    return [each // 2 if upper else each - each // 2 for each in total]
