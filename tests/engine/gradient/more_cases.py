"""Cases of recurrent layers, regions, products of many axes, and ops that ONNX defines by others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from engine.gradient import forward, region
from engine.gradient.cases import apart, ints, positive
from engine.gradient.onenode import Case
from engine.gradient.recurrence import GATES, recurrent


def recurrence(
    op: str, label: str, *, present: str = "", lengths: list[int] | None = None, **settings: Any
) -> Case:
    """T 3, N 2, I 4, H 3; `present` names the further inputs: b(ias), h, c, p(eepholes)."""
    steps, images, inputs, wide = 3, 2, 4, 3
    count = 2 if settings.get("direction") == "bidirectional" else 1
    gates = GATES[op] * wide
    given: list[Any] = [
        apart(steps, images, inputs), apart(count, gates, inputs, low=-0.7, high=0.7),
        apart(count, gates, wide, low=-0.7, high=0.7),
        apart(count, 2 * gates, low=-0.5, high=0.5) if "b" in present else None,
        None if lengths is None else np.asarray(lengths, np.int32),
        apart(count, images, wide) if "h" in present else None,
    ]  # fmt: skip
    if op == "LSTM":
        given.append(apart(count, images, wide) if "c" in present else None)
        given.append(apart(count, 3 * wide) if "p" in present else None)
    while given[-1] is None:
        given.pop()
    free = [i for i, a in enumerate(given) if a is not None and i != 4]

    def whole_forward(*arrays: np.ndarray) -> list[np.ndarray]:
        whole = list(given)
        for i, array in zip(free, arrays, strict=True):
            whole[i] = array
        return recurrent(op, whole, settings)

    outputs = 3 if op == "LSTM" else 2
    return Case(
        op, given, {"hidden_size": wide, **settings}, outputs, forward=whole_forward, label=label
    )


def recurrences() -> list[Case]:
    found = []
    for op in ("LSTM", "GRU", "RNN"):
        found += [
            recurrence(op, "plain"),
            recurrence(op, "biases and states", present="bhc"),
            recurrence(op, "reverse", present="bh", direction="reverse"),
            recurrence(op, "both ways", present="bhc", direction="bidirectional"),
            recurrence(op, "lengths", present="bhc", lengths=[3, 2], direction="bidirectional"),
        ]
    return [
        *found,
        recurrence("LSTM", "peepholes", present="bhcp", direction="bidirectional"),
        recurrence("LSTM", "coupled", present="bp", input_forget=1),
        recurrence("LSTM", "other curves", activations=["Sigmoid", "Softsign", "Relu"]),
        recurrence("LSTM", "clipped", present="b", clip=0.9),
        recurrence("GRU", "reset behind", present="bh", linear_before_reset=1),
        recurrence("GRU", "reset behind, both", linear_before_reset=1, direction="bidirectional"),
        recurrence("RNN", "ReLU", present="b", activations=["Relu"]),
    ]


def regions() -> list[Case]:
    x = apart(2, 3, 6, 7)
    rois = np.float32([[0, 0, 0, 6, 5], [1, 2, 1, 5, 4], [0, 3, 3, 3, 3], [1, -2, 4, 9, 8]])
    found = [
        Case("MaxRoiPool", [x, rois * [1, s, s, s, s]],
             {"pooled_shape": [2, 3], "spatial_scale": 1 / s}, fixed=(1,), label=f"scale {1 / s}",
             forward=partial(region.max_roi_pool, rois=rois, bins=[2, 3], scale=1))
        for s in (1.0, 4.0)
    ]  # fmt: skip
    for case in found:
        case.inputs = [x, case.inputs[1].astype(np.float32)]
    boxes, images = np.float32([[0.3, 0.4, 5.2, 4.7], [-2.5, 1, 3, 9]]), ints(1, 0)
    for way, samples in (("half_pixel", 2), ("output_half_pixel", 3)):
        settings = {"output_height": 2, "output_width": 3, "sampling_ratio": samples,
                    "spatial_scale": 0.75, "coordinate_transformation_mode": way}  # fmt: skip
        found.append(Case(
            "RoiAlign", [x, boxes, images], settings, fixed=(1,), label=way,
            forward=partial(region.roi_align, rois=boxes, images=images, bins=[2, 3], scale=0.75,
                            samples=samples, half=way == "half_pixel"),
        ))  # fmt: skip
    places = np.int64([[[[1, 3], [9, 10]], [[17, 18], [24, 31]]]])
    grid = apart(2, 3, 2, 2, low=-1.3, high=1.3)
    found += [
        Case("MaxUnpool", [apart(1, 2, 2, 2), places], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        Case("AffineGrid", [apart(2, 2, 3), ints(2, 1, 3, 4)], opset=20,
             forward=partial(region.affine_grid, space=[3, 4], corners=False)),
        Case("AffineGrid", [apart(1, 3, 4), ints(1, 1, 2, 3, 4)], {"align_corners": 1}, opset=20,
             label="volume", forward=partial(region.affine_grid, space=[2, 3, 4], corners=True)),
        Case("Col2Im", [apart(1, 12, 6), ints(4, 5), ints(2, 2)],
             {"dilations": [1, 2], "strides": [2, 1], "pads": [0, 0, 1, 0]}, label="strides"),
        Case("Col2Im", [apart(2, 8, 6), ints(3, 4), ints(2, 2)], label="plain"),
    ]  # fmt: skip
    for padding in ("zeros", "border"):
        for corners in (0, 1):
            settings = {"padding_mode": padding, "align_corners": corners}
            loop = partial(region.grid_sample, border=padding == "border", corners=bool(corners),
                           nearest=False)  # fmt: skip
            found.append(Case("GridSample", [apart(2, 2, 4, 5), grid], settings, forward=loop,
                              label=f"{padding} {corners}"))  # fmt: skip
    loop = partial(region.grid_sample, grid=grid, border=False, corners=False, nearest=True)
    found.append(Case("GridSample", [apart(2, 2, 4, 5), grid], {"mode": "nearest"}, fixed=(1,),
                      forward=loop, label="nearest"))  # fmt: skip
    return found


def products() -> list[Case]:
    a, b = apart(2, 3, 4), apart(2, 4, 5)
    table = [
        ("nij,njk->nik", [a, b]), ("nij,njk", [a, b]), ("ij->ji", [apart(3, 4)]),
        ("nij,nij->n", [a, apart(2, 3, 4)]), ("...ij,jk->...ik", [a, apart(4, 3)]),
        ("...ij,...jk->...ik", [apart(2, 1, 3, 4), apart(1, 3, 4, 2)]), ("ij->j", [apart(3, 4)]),
        ("ii->i", [apart(3, 3)]), ("nii,i->n", [apart(2, 3, 3), apart(3)]),
        ("i,j->ij", [apart(3), apart(4)]), ("ni,ij,nj->n", [apart(2, 3), apart(3, 4), apart(2, 4)]),
        ("bhid,bhjd->bhij", [apart(1, 2, 3, 2), apart(1, 2, 4, 2)]), ("ij,ik->", [a[0], b[0][:3]]),
    ]  # fmt: skip
    return [Case("Einsum", arrays, {"equation": words}, label=words) for words, arrays in table]


def by_others() -> list[Case]:
    x, label = apart(3, 4, 2), np.int64([[0, 3], [1, 1], [2, 0]])
    weights = positive(4)
    found = [
        Case("Shrink", [apart(3, 5)], {"lambd": 0.6, "bias": 0.2}),
        Case("Swish", [apart(3, 5)], {"alpha": 1.3}, opset=24),
        Case("CenterCropPad", [apart(3, 5, 4), ints(4, 3)], {"axes": [1, 2]}),
        Case("CenterCropPad", [apart(3, 4), ints(5, 6)], label="pads"),
        Case("RMSNormalization", [x, apart(2)], opset=23),
        Case("RMSNormalization", [x, apart(4, 2)], {"axis": 1, "epsilon": 0.1}, opset=23,
             label="two axes"),
        Case("SimplifiedLayerNormalization", [x, apart(2)], {"epsilon": 0.01},
             forward=lambda x, s: x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.01) * s),
        Case("GroupNormalization", [apart(2, 6, 3), apart(6), apart(6)],
             {"num_groups": 2}, opset=21, forward=partial(_group_norm, groups=2)),
        Case("GroupNormalization", [apart(2, 6, 3), apart(3), apart(3)], {"num_groups": 3},
             label="by group", forward=partial(_group_norm, groups=3)),
        Case("Attention", [apart(1, 2, 3, 4), apart(1, 2, 5, 4), apart(1, 2, 5, 3)], opset=23),
        Case("Attention", [apart(1, 2, 3, 4), apart(1, 2, 3, 4), apart(1, 2, 3, 4)],
             {"is_causal": 1, "scale": 0.7}, opset=23, label="causal"),
        Case("RotaryEmbedding", [apart(1, 2, 3, 4), apart(5, 2), apart(5, 2),
                                 np.int64([[0, 3, 1]])], opset=23),
    ]  # fmt: skip
    for op in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
        found += [
            Case(op, [x, label], label="mean"),
            Case(op, [x, label], {"reduction": "none"}, label="each"),
            Case(op, [x, label, weights], {"reduction": "sum"}, fixed=(2,), label="weights"),
            Case(op, [x, label, weights], {"ignore_index": 1}, fixed=(2,), label="ignored"),
        ]
    pools: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("plain", (2, 2, 4, 6), {"kernel_shape": [2, 3], "strides": [2, 3]}),
        ("third", (1, 2, 5, 6), {"kernel_shape": [3, 2], "p": 3, "pads": [1, 0, 1, 1]}),
        ("first", (1, 2, 7), {"kernel_shape": [3], "p": 1, "strides": [2]}),
    ]
    for name, dims, settings in pools:
        found.append(Case("LpPool", [apart(*dims)], settings, label=name))
    found.append(Case("GlobalLpPool", [apart(2, 3, 2, 3)], {"p": 3},
                      forward=lambda x: (np.abs(x) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)))  # fmt: skip
    return found


def _group_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, groups: int) -> np.ndarray:
    rows = x.reshape(len(x), groups, -1)
    normal = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + 1e-5)
    spread = [np.repeat(each, 6 // len(each))[:, None] for each in (scale, bias)]
    return normal.reshape(x.shape) * spread[0] + spread[1]


def curves() -> list[Case]:
    inside = apart(3, 4, low=-0.9, high=0.9)
    return [
        *(Case(op, [inside]) for op in ("Tan", "Asin", "Acos", "Atanh")),
        *(Case(op, [apart(3, 4)]) for op in ("Atan", "Sinh", "Cosh", "Asinh")),
        Case("Acosh", [apart(3, 4, low=1.2, high=3)]),
        Case("Gelu", [apart(3, 5)], opset=20,
             forward=lambda x: x / 2 * (1 + forward.erf(x / np.sqrt(2)))),
        Case("Gelu", [apart(3, 5)], {"approximate": "tanh"}, opset=20, label="tanh"),
        Case("Mod", [positive(3, 4), np.float32(0.7)], {"fmod": 1}, fixed=(1,)),
        Case("Mod", [apart(2, 3), np.float32([0.7, -0.9, 1.1])], {"fmod": 1}, fixed=(1,),
             label="many"),
        Case("Cast", [apart(2, 3)], {"to": 1}, forward=lambda x: x),
        Case("CastLike", [apart(2, 3), apart(1)], fixed=(1,)),
        Case("Trilu", [apart(2, 3, 4)]),
        Case("Trilu", [apart(4, 3), ints(-1).reshape(())], {"upper": 0}, label="lower"),
        Case("ReverseSequence", [apart(4, 3, 2), ints(4, 2, 1)]),
        Case("ReverseSequence", [apart(3, 4), ints(2, 4, 3)], {"batch_axis": 0, "time_axis": 1},
             label="rows"),
    ]  # fmt: skip


def frames() -> list[Case]:
    found = [Case("Pad", [apart(2, 3), ints(1, 0, 2, 3), np.float32(0.4)], label="value")]
    for mode in ("reflect", "edge", "wrap"):
        found += [
            Case("Pad", [apart(3, 4), ints(1, 2, 2, 3)], {"mode": mode}, label=mode),
            Case("Pad", [apart(2, 3, 4), ints(1, 0), None, ints(-1)], {"mode": mode},
                 label=f"{mode} one axis"),
        ]  # fmt: skip
    for way in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        for sizes in ((5, 7), (2, 3)):
            settings = {"mode": "cubic", "coordinate_transformation_mode": way}
            found.append(Case("Resize", [apart(1, 1, 4, 5), None, None, ints(1, 1, *sizes)],
                              settings, label=f"cubic {way} {sizes}"))  # fmt: skip
    settings = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    found.append(Case("Resize", [apart(1, 1, 4, 5), None, None, ints(1, 1, 6, 3)], settings,
                      label="cubic outside"))  # fmt: skip
    for mode in ("linear", "cubic"):
        for sizes in ((3, 3), (9, 10)):
            settings = {"mode": mode, "antialias": 1}
            found.append(Case("Resize", [apart(1, 1, 7, 8), None, None, ints(1, 1, *sizes)],
                              settings, label=f"antialias {mode} {sizes}"))  # fmt: skip
    for policy in ("not_larger", "not_smaller"):
        settings = {"mode": "linear", "keep_aspect_ratio_policy": policy, "axes": [2, 3]}
        found.append(Case("Resize", [apart(1, 1, 3, 5), None, None, ints(7, 8)], settings,
                          label=policy))  # fmt: skip
    return found


def heaps() -> list[Case]:
    found = []
    index, rows = ints(1, 1, 0, 2).reshape(2, 2), ints(2, 0, 2).reshape(3, 1)
    for kind in ("mul", "max", "min"):
        found += [
            Case("ScatterElements", [positive(3, 4), index, positive(2, 2)],
                 {"axis": 1, "reduction": kind}, label=kind),
            Case("ScatterND", [positive(4, 3), rows, positive(3, 3)], {"reduction": kind},
                 label=kind),
        ]  # fmt: skip
    return found


MORE_CASES = [
    *recurrences(), *regions(), *products(), *by_others(), *curves(), *frames(), *heaps(),
]  # fmt: skip
