"""Small random cases for every rule, with settings that meet its corners; no number stands twice."""

from __future__ import annotations

from functools import partial

import numpy as np

from engine.gradient import forward
from engine.gradient.onenode import Case

_random = np.random.default_rng(11)


def apart(*dims: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Numbers between two limits, none nearer to another or to 0 than a step can reach."""
    count = int(np.prod(dims))
    width = (high - low) / (count + 2)
    steps = np.linspace(low, high, count + 2)[1:-1] + width * _random.uniform(0.05, 0.4)
    return _random.permutation(steps).reshape(dims).astype(np.float32)


def positive(*dims: int) -> np.ndarray:
    """Numbers from 0.3 to 2.5."""
    return apart(*dims, low=0.3, high=2.5)


def ints(*numbers: int) -> np.ndarray:
    return np.asarray(numbers, np.int64)


def convolutions() -> list[Case]:
    found = []
    table = [
        ("plain", (2, 3, 5, 4), (4, 3, 3, 2), {}),
        ("pads", (2, 3, 5, 4), (4, 3, 3, 3), {"pads": [1, 0, 2, 1]}),
        ("group", (1, 4, 4, 5), (6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
        ("depthwise", (2, 3, 4, 5), (3, 1, 3, 3), {"group": 3, "strides": [2, 2]}),
        ("stride", (2, 2, 7, 8), (3, 2, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("stride rest", (1, 2, 8, 7), (2, 2, 3, 2), {"strides": [2, 3]}),
        ("stride over kernel", (1, 2, 7, 7), (3, 2, 2, 2), {"strides": [3, 3]}),
        ("large stride", (1, 2, 11, 13), (2, 2, 5, 5), {"strides": [4, 4], "pads": [2, 2, 2, 2]}),
        ("pointwise stride", (2, 3, 5, 6), (4, 3, 1, 1), {"strides": [2, 2]}),
        ("dilation", (1, 2, 7, 6), (3, 2, 3, 2), {"dilations": [2, 3]}),
        ("dilation stride", (1, 2, 8, 9), (2, 2, 2, 3), {"dilations": [3, 2], "strides": [2, 2]}),
        ("wide pads", (1, 2, 3, 4), (2, 2, 2, 2), {"pads": [3, 2, 2, 3]}),
        ("wide pads stride", (1, 2, 4, 4), (2, 2, 2, 2), {"pads": [3, 3, 3, 3], "strides": [2, 2]}),
        ("line", (2, 3, 6), (4, 3, 3), {"strides": [2]}),
        ("volume", (1, 2, 3, 4, 5), (2, 2, 2, 3, 2), {"pads": [0, 1, 1, 0, 1, 0]}),
        ("same upper", (1, 2, 5, 6), (2, 2, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("same lower", (1, 2, 5, 6), (2, 2, 3, 4), {"auto_pad": "SAME_LOWER"}),
        ("valid", (1, 2, 5, 6), (2, 2, 3, 4), {"auto_pad": "VALID"}),
    ]
    for label, x, w, settings in table:
        given = [apart(*x), apart(*w), apart(w[0])]
        found.append(Case("Conv", given, settings, label=label))
        found.append(Case("Conv", given, settings, fixed=(1, 2), label=f"{label}, fixed"))
    table = [
        ("plain", (2, 3, 3, 4), (3, 2, 3, 2), {}),
        ("stride pads", (1, 2, 3, 4), (2, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("group", (1, 4, 3, 3), (4, 2, 2, 3), {"group": 2, "strides": [2, 1]}),
        ("more", (1, 2, 3, 3), (2, 2, 3, 3), {"strides": [3, 2], "output_padding": [2, 1]}),
        ("dilation", (1, 2, 3, 4), (2, 2, 2, 3), {"dilations": [2, 2]}),
        ("shape", (1, 2, 3, 3), (2, 2, 3, 3), {"strides": [2, 2], "output_shape": [6, 6]}),
        (
            "shape more",
            (1, 2, 4, 5),
            (2, 3, 3, 2),
            {"strides": [2, 3], "output_shape": [9, 14], "output_padding": [1, 1]},
        ),
        ("line", (2, 2, 4), (2, 3, 3), {"strides": [2]}),
    ]
    for label, x, w, settings in table:
        bias = w[1] * settings.get("group", 1)
        found.append(Case(
            "ConvTranspose", [apart(*x), apart(*w), apart(bias)], settings, label=label,
            forward=partial(forward.conv_transpose, **settings),
        ))  # fmt: skip
    return found


def pools() -> list[Case]:
    found = []
    table = [
        ("apart", (2, 2, 4, 6), {"kernel_shape": [2, 3], "strides": [2, 3]}),
        ("overlap", (1, 2, 5, 7), {"kernel_shape": [3, 3], "strides": [2, 2]}),
        ("stride one", (1, 2, 4, 5), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("pads", (1, 2, 5, 4), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
        ("ceil", (1, 2, 6, 8), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
        ("gaps", (1, 1, 8, 9), {"kernel_shape": [2, 2], "strides": [3, 4]}),
        ("line", (1, 2, 7), {"kernel_shape": [3], "strides": [2]}),
        ("volume", (1, 1, 4, 4, 5), {"kernel_shape": [2, 2, 3], "strides": [1, 2, 1]}),
    ]
    for label, dims, settings in table:
        found.append(Case("MaxPool", [apart(*dims)], settings, label=label))
        found.append(Case("AveragePool", [apart(*dims)], settings, label=label))
        found.append(Case("AveragePool", [apart(*dims)], settings | {"count_include_pad": 1},
                          label=f"{label}, pads count"))  # fmt: skip
    found += [
        Case("MaxPool", [apart(1, 2, 7, 6)], {"kernel_shape": [2, 3], "dilations": [3, 2]},
             label="dilation"),
        Case("MaxPool", [apart(1, 2, 5, 6)], {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER",
                                              "strides": [2, 2]}, label="same"),
        Case("MaxPool", [apart(1, 2, 5, 6)], {"kernel_shape": [2, 2]}, 2, label="indices"),
        Case("MaxPool", [apart(1, 2, 5, 6)], {"kernel_shape": [2, 3], "storage_order": 1}, 2,
             label="columns first"),
        Case("AveragePool", [apart(1, 2, 5, 6)], {"kernel_shape": [3, 2], "strides": [2, 2],
                                                  "auto_pad": "SAME_LOWER"}, label="same"),
        Case("GlobalAveragePool", [apart(2, 3, 4, 5)]),
        Case("GlobalMaxPool", [apart(2, 3, 4, 5)]),
    ]  # fmt: skip
    return found


def neurons() -> list[Case]:
    plain = (
        "Relu LeakyRelu ThresholdedRelu Elu Celu Selu Sigmoid HardSigmoid HardSwish Mish Softplus"
        " Softsign Tanh Exp Reciprocal Abs Neg Sin Cos Identity Dropout"
    ).split()
    found = [Case(op, [apart(3, 7, low=-4.1, high=4.3)]) for op in plain]
    return [
        *found,
        *(Case(op, [positive(3, 5)]) for op in ("Log", "Sqrt")),
        Case("Erf", [apart(3, 5)], forward=forward.erf),
        Case("LeakyRelu", [apart(3, 5)], {"alpha": 0.3}, label="alpha"),
        Case("HardSigmoid", [apart(3, 5)], {"alpha": 0.4, "beta": 0.3}, label="alpha"),
        Case("Elu", [apart(3, 5)], {"alpha": 1.7}, label="alpha"),
        Case("Celu", [apart(3, 5)], {"alpha": 1.7}, label="alpha"),
        Case("PRelu", [apart(2, 3, 4), apart(3, 1)]),
        Case("PRelu", [apart(2, 3, 4), apart(1)], label="one slope"),
        Case("Clip", [apart(4, 5), np.float32(-0.81), np.float32(1.13)], fixed=(1, 2)),
        Case("Clip", [apart(4, 5), None, np.float32(0.57)], fixed=(2,), label="above"),
        Case("Softmax", [apart(3, 4, 2)], {"axis": 1}),
        Case("Softmax", [apart(3, 4)], label="last axis"),
        Case("LogSoftmax", [apart(3, 4, 2)], {"axis": 1}),
        Case("CumSum", [apart(3, 4), ints(1).reshape(())], label="forth"),
        Case("CumSum", [apart(3, 4), ints(0).reshape(())], {"exclusive": 1, "reverse": 1}),
    ]


def arithmetic() -> list[Case]:
    found = []
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"):
        make = positive if op in ("Div", "Pow") else apart
        for a, b in (
            ((2, 3, 4), (2, 3, 4)),
            ((2, 3, 4), (3, 1)),
            ((1, 4), (2, 3, 1)),
            ((3,), (1,)),
        ):
            found.append(Case(op, [make(*a), make(*b)], label=f"{a} {b}"))
    three = [apart(2, 3), apart(3), apart(2, 1)]
    found += [Case(op, three, label="three") for op in ("Sum", "Mean", "Max", "Min")]
    return [
        *found,
        *(Case("Pow", [positive(2, 3), np.float32(e)], fixed=(1,), label=f"{e}")
          for e in (2, 3, 0.5, -0.75, 1, 0)),
        Case("Where", [np.array([[True], [False]]), apart(2, 3), apart(3)]),
        Case("Gemm", [apart(2, 3), apart(3, 4), apart(4)], {"alpha": 0.7, "beta": 1.3}),
        Case("Gemm", [apart(3, 2), apart(3, 4), apart(2, 1)], {"transA": 1}, label="A turned"),
        Case("Gemm", [apart(2, 3), apart(4, 3), apart(1)], {"transB": 1}, label="B turned"),
        Case("Gemm", [apart(3, 2), apart(4, 3)], {"transA": 1, "transB": 1, "alpha": 0.3},
             label="both"),
        Case("MatMul", [apart(2, 3), apart(3, 4)]),
        Case("MatMul", [apart(2, 2, 3), apart(3, 4)], label="many by one"),
        Case("MatMul", [apart(2, 1, 2, 3), apart(3, 3, 2)], label="both many"),
        Case("MatMul", [apart(3), apart(2, 3, 2)], label="row"),
        Case("MatMul", [apart(2, 2, 3), apart(3)], label="column"),
        Case("MatMul", [apart(3), apart(3)], label="vectors"),
    ]  # fmt: skip


def reductions() -> list[Case]:
    found = []
    kinds = "Sum Mean Max Min L1 L2 SumSquare Prod LogSum LogSumExp".split()
    for kind in kinds:
        make = positive if kind in ("LogSum", "Prod") else apart
        found += [
            Case(f"Reduce{kind}", [make(2, 3, 4), ints(1)], label="kept"),
            Case(f"Reduce{kind}", [make(2, 3, 4), ints(-1, 0)], {"keepdims": 0}, label="dropped"),
            Case(f"Reduce{kind}", [make(2, 3)], {"keepdims": 0}, label="all"),
        ]
    return found


def forms() -> list[Case]:
    x = apart(2, 3, 4)
    return [
        Case("Reshape", [x, ints(4, -1)]),
        Case("Flatten", [x], {"axis": 2}),
        Case("Squeeze", [apart(2, 1, 3), ints(1)]),
        Case("Unsqueeze", [apart(2, 3), ints(0, 2)]),
        Case("Transpose", [x], {"perm": [2, 0, 1]}),
        Case("Transpose", [x], label="turned round"),
        Case("Concat", [apart(2, 3), apart(2, 1), apart(2, 2)], {"axis": 1}),
        Case("Concat", [apart(2, 3), apart(2, 1)], {"axis": -1}, fixed=(0,), label="one"),
        Case("Split", [apart(5, 2), ints(2, 3)], {"axis": 0}, 2),
        Case("Slice", [x, ints(0, 1), ints(1, 9), ints(0, 2)]),
        Case(
            "Slice", [apart(7, 6), ints(-1, 1), ints(-9, 6), ints(0, 1), ints(-2, 3)], label="steps"
        ),
        Case("Slice", [apart(7, 5), ints(-3), ints(2**62), ints(0)], label="end"),
        Case("Pad", [apart(2, 3), ints(1, 0, 2, 3)]),
        Case(
            "Pad",
            [apart(4, 5), ints(-1, 1, 0, -2), np.float32(3)],
            fixed=(2,),
            label="cut",
            forward=lambda x: np.pad(x[1:], ((0, 0), (1, 0)), constant_values=3)[:, :-2],
        ),
        Case("Pad", [apart(2, 3), ints(2, 1), None, ints(1)], label="axes"),
        Case("Expand", [apart(3, 1), ints(2, 1, 4)]),
        Case("Tile", [apart(2, 3), ints(3, 2)]),
        Case("DepthToSpace", [apart(1, 8, 2, 3)], {"blocksize": 2}),
        Case("DepthToSpace", [apart(1, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}, label="CRD"),
        Case("SpaceToDepth", [apart(1, 2, 4, 6)], {"blocksize": 2}),
    ]


def choices() -> list[Case]:
    x = apart(3, 4, 2)
    nd = ints(0, 1, 2, 3, 0, 1).reshape(3, 2)
    return [
        Case("Gather", [x, ints(2, 0, 2)], {"axis": 0}),
        Case("Gather", [x, ints(1, -1, 1, 3).reshape(2, 2)], {"axis": 1}, label="middle"),
        Case("Gather", [x, ints(1).reshape(())], {"axis": 2}, label="one"),
        Case("GatherElements", [apart(3, 4), ints(0, 0, 2, 1, 0, 2).reshape(2, 3)], {"axis": 0},
             forward=lambda x: np.stack([x[[0, 0, 2], [0, 1, 2]], x[[1, 0, 2], [0, 1, 2]]])),
        Case("GatherND", [x, nd]),
        Case("GatherND", [x, ints(0, 0, 3).reshape(3, 1)], {"batch_dims": 1}, label="batch"),
        Case("ScatterElements", [apart(3, 4), ints(0, 2, 1).reshape(1, 3), apart(1, 3)]),
        Case("ScatterElements", [apart(3, 4), ints(1, 1, 0, 2).reshape(2, 2), apart(2, 2)],
             {"axis": 1}, label="twice"),
        Case("ScatterElements", [apart(3, 4), ints(1, 1).reshape(1, 2), apart(1, 2)],
             {"axis": 1, "reduction": "add"}, label="add"),
        Case("ScatterND", [apart(4, 3), ints(2, 0).reshape(2, 1), apart(2, 3)]),
        Case("ScatterND", [apart(4, 3), ints(2, 2).reshape(2, 1), apart(2, 3)],
             {"reduction": "add"}, label="add"),
        Case("TopK", [apart(3, 5), ints(2)], {"axis": 1}, 2),
        Case("Compress", [apart(4, 3), np.array([True, False, True, True])], {"axis": 0}),
        Case("Compress", [apart(2, 3), np.array([True, False, True])], {"axis": 1}, label="columns"),
    ]  # fmt: skip


def resizes() -> list[Case]:
    found = []
    for mode in ("nearest", "linear"):
        for way in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            settings = {"mode": mode, "coordinate_transformation_mode": way}
            if mode == "nearest":
                settings["nearest_mode"] = "floor"
            found += [
                Case("Resize", [apart(1, 2, 3, 4), None, None, ints(1, 2, 5, 7)], settings,
                     label=f"{mode} {way} up"),
                Case("Resize", [apart(1, 2, 5, 6), None, None, ints(1, 2, 2, 4)], settings,
                     label=f"{mode} {way} down"),
            ]  # fmt: skip
    scales = np.float32([1, 1, 2, 1.5])
    for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        settings = {"mode": "nearest", "nearest_mode": nearest}
        found.append(Case("Resize", [apart(1, 1, 3, 4), None, scales], settings, fixed=(2,),
                          label=f"scales {nearest}"))  # fmt: skip
    found.append(Case("Resize", [apart(1, 1, 3, 4), None, scales], {"mode": "linear"}, fixed=(2,),
                      label="scales linear"))  # fmt: skip
    return found


def normalizations() -> list[Case]:
    stored = [apart(3), apart(3), apart(3), positive(3)]
    found = []
    for n, alpha, beta, bias in ((3, 0.4, 0.75, 1.0), (5, 0.9, 0.6, 2.0), (7, 0.5, 1.0, 1.0),
                                 (3, 0.5, 0.5, 1.5)):  # fmt: skip
        settings = {"size": n, "alpha": alpha, "beta": beta, "bias": bias}
        found.append(Case(
            "LRN", [apart(1, 6, 2, 3)], settings, label=f"size {n} beta {beta}",
            forward=partial(forward.lrn, **settings),
        ))  # fmt: skip
    return [
        *found,
        Case("BatchNormalization", [apart(2, 3, 4), *stored], {"epsilon": 0.01}),
        Case("BatchNormalization", [apart(2, 3, 2, 2), *stored], fixed=(1, 2, 3, 4), label="fixed"),
        Case("BatchNormalization", [apart(4, 3), *stored], label="no space"),
        Case("InstanceNormalization", [apart(2, 3, 5), apart(3), apart(3)]),
        Case("LayerNormalization", [apart(2, 3, 4), apart(4), apart(4)]),
        Case("LayerNormalization", [apart(2, 3, 4), apart(3, 4)], {"axis": 1}, label="two axes"),
        Case("MeanVarianceNormalization", [apart(2, 2, 3, 2)],
             forward=lambda x: (x - x.mean((0, 2, 3), keepdims=True))
             / x.std((0, 2, 3), keepdims=True)),
        Case("LpNormalization", [apart(3, 4)], {"axis": 1}),
        Case("LpNormalization", [apart(3, 4)], {"axis": 0, "p": 1}, label="L1",
             forward=lambda x: x / np.abs(x).sum(0)),
    ]  # fmt: skip


CASES = [
    *convolutions(), *pools(), *neurons(), *arithmetic(), *reductions(), *forms(), *choices(),
    *resizes(), *normalizations(),
]  # fmt: skip
