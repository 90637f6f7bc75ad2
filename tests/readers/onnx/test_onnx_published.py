"""The ONNX project's own cases: models and results that come with the onnx package.

`docs/onnx.md` has the table; the counts here are exact, so that a case that begins to agree, or
stops to, is seen.
"""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import layerscope as ls
from closeness import assert_blob_close

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
PAGE = Path(__file__).parents[3] / "docs" / "onnx.md"

KINDS = set(
    "Conv ConvTranspose ConvInteger QLinearConv MaxPool AveragePool LpPool GlobalMaxPool"
    " GlobalAveragePool LRN Gemm MatMul MatMulInteger QLinearMatMul Softmax LogSoftmax Hardmax"
    " BatchNormalization LayerNormalization InstanceNormalization GroupNormalization Relu LeakyRelu"
    " PRelu Elu Selu Celu ThresholdedRelu Sigmoid HardSigmoid HardSwish Mish Tanh Softplus Softsign"
    " Gelu Clip Abs Neg Exp Log Sqrt Reciprocal Pow Erf Floor Ceil Round Sign Add Sub Mul Div Max Min"
    " Sum Mean Concat Split Slice Pad Reshape Flatten Transpose Squeeze Unsqueeze Expand Tile Gather"
    " Identity Cast Where Resize Upsample Dropout DepthToSpace SpaceToDepth ReduceSum ReduceMean"
    " ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare"
    " QuantizeLinear DequantizeLinear DynamicQuantizeLinear Shape Constant ArgMax ArgMin TopK"
    " GridSample Einsum".split()
)


def disagreement(path: Path, model: onnx.ModelProto, inputs: list[Any], outputs: list[Any]) -> str:
    """Why a case does not agree, shortened; "" when it does."""
    path.write_bytes(model.SerializeToString())
    try:
        net = ls.open(path)
        fed = [each.name for each in model.graph.input]
        got = net.run(dict(zip(fed, map(_array, inputs), strict=False)))
    except ls.LayerscopeError as error:
        words = str(error)
        for reason in ("NOT_IMPLEMENTED", "is a sequence", "is a optional", "stopped"):
            if reason in words:
                return reason
        return words
    for each, want in zip(model.graph.output, map(_array, outputs), strict=True):
        if each.name not in got:
            return "is no array"
        if want.dtype.type.__module__ != "numpy":
            want = want.astype(np.float32)
        have = got[each.name]
        if have.dtype != want.dtype or have.shape != want.shape:
            return f"{have.dtype} {have.shape} and not {want.dtype} {want.shape}"
        if not np.allclose(have, want, rtol=1e-3, atol=1e-5, equal_nan=True):
            return "other numbers"
    return ""


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def expected(cases: str) -> tuple[int, int]:
    """What the page says: so many of so many agree."""
    (line,) = [each for each in PAGE.read_text().splitlines() if each.startswith(f"| {cases} |")]
    agree, of = line.split("|")[2].split(" of ")
    return int(agree), int(of)


def stated_versions() -> bool:
    """Whether the packages here are those that the page was written for."""
    import onnxruntime

    (line,) = [each for each in PAGE.read_text().splitlines() if "measured with onnx" in each]
    return f"onnx {onnx.__version__}" in line and f"ONNX Runtime {onnxruntime.__version__}" in line


# Why a case of these kinds does not agree, and how many do not; all others do.
APART = {
    "NOT_IMPLEMENTED": 17,  # the runtime has no code for this op and type
    "other numbers": 6,  # RESIZE and TRAINING below
    "is a sequence": 1,
    "is a optional": 1,
    "stopped": 3,  # STOPPED below
}
RESIZE = {
    # The runtime gives a size of one pixel another place than the reference does.
    "test_resize_downsample_scales_linear_align_corners",
    "test_resize_downsample_scales_cubic_align_corners",
}
TRAINING = {  # random numbers, of which each runtime has its own
    f"test_training_dropout{which}" for which in ("", "_mask", "_default", "_default_mask")
}
STOPPED = {
    "test_convinteger_with_padding",  # a zero point of two numbers
    "test_reduce_max_empty_set_bool",
    "test_reshape_allowzero_reordered",  # its shape is fed, and no numbers but those fit
}


def test_single_ops(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own arithmetic
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    path, apart = tmp_path / "m.onnx", {}
    chosen = [
        case
        for case in cases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in KINDS
    ]
    for case in chosen:
        for inputs, outputs in case.data_sets:
            reason = disagreement(path, case.model, inputs, outputs)
            if reason:
                apart[case.name] = reason
    other = {name for name, reason in apart.items() if reason == "other numbers"}
    assert other <= RESIZE | TRAINING
    if stated_versions():
        assert Counter(apart.values()) == APART
        assert {name for name, reason in apart.items() if reason == "stopped"} == STOPPED
        assert (len(chosen) - len(apart), len(chosen)) == expected("single ops")
        kinds = {case.name: case.model.graph.node[0].op_type for case in chosen}
        whole = set(kinds.values()) - {kinds[name] for name in apart}
        words = f"of {len(set(kinds.values()))} kinds, of which {len(whole)} agree in all cases"
        assert words in PAGE.read_text()
    assert len(apart) < 0.1 * len(chosen)


@pytest.mark.parametrize("folder", ["pytorch-converted", "pytorch-operator"])
def test_models_that_pytorch_wrote(tmp_path: Path, folder: str) -> None:
    """Small models of opset 6 to 12, each with its input and result."""
    apart, paths = {}, sorted((DATA / folder).glob("*/model.onnx"))
    for path in paths:
        sets = path.parent / "test_data_set_0"
        inputs, outputs = (
            [
                TensorProto.FromString((sets / f"{what}_{i}.pb").read_bytes())
                for i in range(len(list(sets.glob(f"{what}_*.pb"))))
            ]
            for what in ("input", "output")
        )
        reason = disagreement(tmp_path / "m.onnx", onnx.load(path), inputs, outputs)
        if reason:
            apart[path.parent.name] = reason
    assert apart == {}
    assert (len(paths), len(paths)) == expected(folder)


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1", "resnet50"])
def test_well_known_nets(name: str) -> None:
    """Graphs of real nets of opset 9 whose weights the file describes by one number each."""
    path = DATA / "light" / f"light_{name}.onnx"
    net = ls.open(path)
    dims = net.graph.shapes[net.inputs[0]]
    size = int(np.prod(dims))
    image = (np.arange(size, dtype=np.float32) / size).reshape(dims)
    got = net.run(image, net.outputs)[net.outputs[0]]
    content = (DATA / "light" / f"light_{name}_output_0.pb").read_bytes()
    want = numpy_helper.to_array(TensorProto.FromString(content))
    np.testing.assert_allclose(got, want, rtol=1e-3)
    if name != "resnet50":  # every blob kept: the same numbers
        everything = net.run(image)
        assert list(everything) == list(net.blobs)
        assert_blob_close(everything[net.outputs[0]], got, name, tolerance=2e-6)
