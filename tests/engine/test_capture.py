"""Capturing every blob changes no value, and every in-place write is kept apart."""

from __future__ import annotations

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from closeness import assert_blob_close
from conftest import GOLDEN
from readers.caffe.layers.test_golden import fed, opened


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_captured_equals_plain(case: Path) -> None:
    """The plain run asks for the outputs alone, so the optimizer may fuse what lies between."""
    net = opened(case)
    captured, plain = net.run(fed(case)), net.run(fed(case), net.outputs)
    assert set(plain) == set(net.outputs) <= set(captured)
    for name in plain:
        assert_blob_close(captured[name], plain[name], f"{case.name}/{name}", tolerance=2e-6)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_captured_equals_unoptimized(case: Path) -> None:
    """A second opinion: each blob by itself, computed by a session with no optimizer at all."""
    from layerscope.engine import onnxruntime as engine

    net, inputs = opened(case), fed(case)
    captured = net.run(inputs)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    values = list(dict.fromkeys(node.output[0] for node in net.graph.nodes))
    if not values:
        return
    model = engine.model(net, values)
    inline = {t.name for t in model.graph.initializer if not t.external_data}
    arrays = {n: a for n, a in net.graph.tensors.items() if a is not None and n not in inline}
    held = [ort.OrtValue.ortvalue_from_numpy(np.array(a)) for a in arrays.values()]
    if held:
        options.add_external_initializers(list(arrays), held)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    plain = dict(zip(values, session.run(values, inputs), strict=True))
    for name, blob in net.blobs.items():
        if blob.value in plain:
            assert_blob_close(captured[name], plain[blob.value], f"{case.name}/{name}", 2e-6)


def test_values_from_before_an_in_place_layer(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    blobs = net.run(np.random.default_rng(0).normal(size=(2, 3, 9, 7)))
    assert list(blobs) == ["data", "conv1@conv1", "conv1", "fc2", "prob"]
    assert blobs["conv1@conv1"].min() < 0
    np.testing.assert_array_equal(np.maximum(blobs["conv1@conv1"], 0), blobs["conv1"])
    np.testing.assert_array_equal(blobs["conv1@relu1"], blobs["conv1"])
    assert "conv1@relu1" in blobs and "conv2" not in blobs


def test_chain_of_in_place_writes(tmp_path: Path) -> None:
    definition = tmp_path / "chain.prototxt"
    definition.write_text("""
        layer { name: "in" type: "Input" top: "x"
                input_param { shape { dim: 1 dim: 2 dim: 3 dim: 5 } } }
        layer { name: "s" type: "Scale" bottom: "x" top: "x" scale_param { filler { value: -2 } } }
        layer { name: "r" type: "ReLU" bottom: "x" top: "x" }
        layer { name: "d" type: "Dropout" bottom: "x" top: "x" }
        layer { name: "f" type: "Flatten" bottom: "x" top: "y" }
    """)
    net = ls.open(definition)
    x = np.arange(-15, 15, dtype=np.float32).reshape(1, 2, 3, 5)
    blobs = net.run(x, allow_missing=True)
    assert list(blobs) == ["x@in", "x@s", "x@r", "x", "y"]
    np.testing.assert_array_equal(blobs["x@in"], x)
    np.testing.assert_array_equal(blobs["x@s"], -2 * x)
    np.testing.assert_array_equal(blobs["x@r"], np.maximum(-2 * x, 0))
    np.testing.assert_array_equal(blobs["x"], blobs["x@r"])
    np.testing.assert_array_equal(blobs["y"], blobs["x"].reshape(1, -1))


def test_batch_is_free(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    images = np.random.default_rng(1).normal(size=(7, 3, 9, 7)).astype(np.float32)
    seven = net.run(images)
    for i in (0, 6):
        one = net.run(images[i])
        for name in one:
            assert one[name].shape == (1, *net.blobs[name].shape[1:])
            assert_blob_close(one[name][0], seven[name][i], name)


def test_chosen_blobs_only(small: tuple[Path, Path]) -> None:
    net = ls.open(*small)
    image = np.zeros((3, 9, 7), np.float32)
    assert list(net.run(image, ["fc2", "conv1@relu1"])) == ["fc2", "conv1"]
    with pytest.raises(ls.errors.UnknownNameError, match=r'blob "fc3" is not in net "small" \(5'):
        net.run(image, ["fc3"])
    with pytest.raises(ls.errors.UsageError, match="a list of names"):
        net.run(image, "fc2")


def test_without_weights_nothing_runs(small: tuple[Path, Path]) -> None:
    net = ls.open(small[0])
    image = np.ones((3, 9, 7), np.float32)
    with pytest.raises(ls.errors.UsageError, match=r"2 of 2 layers with params.*conv1, fc2"):
        net.run(image)
    filled = net.run(image, allow_missing=True)
    assert filled["conv1@conv1"].std() > 0
    np.testing.assert_array_equal(filled["prob"], net.run(image, allow_missing=True)["prob"])


def test_too_large_for_memory(small: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.engine import onnxruntime as engine

    net = ls.open(*small)
    monkeypatch.setattr(engine, "_available_memory", lambda: 1000)
    with pytest.raises(ls.errors.LimitError, match=r"need 3\.\d+ kB, 1 kB of memory are free"):
        net.run(np.zeros((2, 3, 9, 7), np.float32))


def test_sessions_are_kept_and_bounded(small: tuple[Path, Path]) -> None:
    from layerscope.engine import onnxruntime as engine

    net = ls.open(*small)
    image = np.zeros((3, 9, 7), np.float32)
    for wanted in (["fc2"], ["prob"], ["conv1"], ["fc2"]):
        net.run(image, wanted)
    assert len(engine._sessions[net]) == engine.KEPT_SESSIONS
    first = engine._sessions[net][("fc2",)]
    net.run(image, ["fc2"])
    assert engine._sessions[net][("fc2",)] is first


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_weights_at_any_place_of_a_file(shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays are views on a mapped file, so they begin at any byte; the runtime reads them there."""
    from layerscope.engine import model

    monkeypatch.setattr(model, "INLINE_BYTES", 64)  # shapes must stand in the graph
    for case in GOLDEN:
        net, inputs = opened(case), fed(case)
        want = opened(case).run(inputs)
        tensors = dict(net.graph.tensors)
        for name, array in tensors.items():
            if array is None or array.dtype != np.float32 or not array.size:
                continue
            raw = np.zeros(array.nbytes + 64, np.uint8)
            start = -raw.ctypes.data % 64 + shift  # of a 64-byte line
            raw[start : start + array.nbytes] = np.ascontiguousarray(array).view(np.uint8).ravel()
            moved = np.frombuffer(raw, "<f4", array.size, start).reshape(array.shape)
            assert not moved.flags.aligned
            net.graph.tensors[name] = moved  # type: ignore[index]
        got = net.run(inputs)
        for name in want:
            assert_blob_close(got[name], want[name], f"{case.name}/{name}", tolerance=2e-6)


def test_inputs_of_different_batches_are_not_broadcast(tmp_path: Path) -> None:
    """What Caffe refuses is refused, and what it allows (regions of one image) runs."""
    head = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}"'
        " input_param { shape { dim: 2 dim: 4 } } }"
        for name in "xz"
    )
    path = tmp_path / "n.prototxt"
    path.write_text(head + 'layer { name: "e" type: "Eltwise" bottom: "x" bottom: "z" top: "y" }')
    net = ls.open(path)
    ones = np.ones((6, 4), np.float32)
    np.testing.assert_array_equal(net.run({"x": ones, "z": ones})["y"], 2 * ones)
    for x, z in ((3, 1), (1, 3), (2, 1), (4, 2)):
        with pytest.raises(ls.errors.ReadError, match=r'layer "e": .* they must be alike'):
            net.run({"x": ones[:x], "z": ones[:z]})
    path.write_text(
        head + 'layer { name: "c" type: "Concat" bottom: "x" bottom: "z" top: "y"'
        " concat_param { axis: 0 } }"
    )
    assert ls.open(path).run({"x": ones[:1], "z": ones[:5]})["y"].shape == (6, 4)


STEPS = 6  # convolutions of `chain`


@pytest.fixture
def chain(tmp_path: Path) -> ls.Net:
    """Convolutions and ReLUs in turn, of sizes that the runtime computes in its blocked layout."""
    random = np.random.default_rng(2)
    nodes, arrays, last = [], [], "x"
    for step in range(STEPS):
        filters = random.normal(size=(32, 32 if step else 3, 3, 3)).astype(np.float32) / 12
        arrays.append(numpy_helper.from_array(filters, f"w{step}"))
        nodes.append(
            helper.make_node("Conv", [last, f"w{step}"], [f"conv{step}"], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"conv{step}"], [f"relu{step}"]))
        last = f"relu{step}"
    nodes.append(helper.make_node("Flatten", [last], ["conv0:size"]))  # a name that is taken
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 17, 13])
    made = helper.make_tensor_value_info("conv0:size", TensorProto.FLOAT, ["N", 32 * 17 * 13])
    graph = helper.make_graph(nodes, "chain", [given], [made], arrays)
    path = tmp_path / "chain.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return ls.open(path)


def _convolved(x: NDArray[np.float32], filters: NDArray[np.float32]) -> NDArray[np.float64]:
    """A 3x3 convolution with a border of 1, as nine shifted products."""
    wide = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    height, width = x.shape[2:]
    return sum(
        np.einsum("nchw,kc->nkhw", wide[:, :, i : i + height, j : j + width], filters[:, :, i, j])
        for i in range(3)
        for j in range(3)
    )


def test_a_value_is_finished_where_it_is_made(chain: ls.Net, tmp_path: Path) -> None:
    """Both values of a step are in N C H W before the next step: the runtime's own record."""
    from layerscope.engine import model

    values = [blob.value for blob in chain.blobs.values() if blob.value != "x"]
    graph = model.model(chain, values)
    model.put_in_order(graph, chain, values)
    arrays = {name: np.array(array) for name, array in model.beside(chain).items()}
    held = [ort.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
    options = ort.SessionOptions()
    options.add_external_initializers(list(arrays), held)
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "run")
    session = ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    session.run(values, {"x": np.ones((2, 3, 17, 13), np.float32)})
    record = json.loads(Path(session.end_profiling()).read_text())
    ops = [each["args"]["op_name"] for each in record if each["name"].endswith("_kernel_time")]
    if "ReorderOutput" not in ops:
        pytest.skip("this processor has no blocked layout")
    assert ops.count("Conv") == STEPS and ops.count("ReorderOutput") == 2 * STEPS
    convolutions = [place for place, op in enumerate(ops) if op == "Conv"]
    for done, place in enumerate(convolutions):
        assert ops[:place].count("ReorderOutput") == 2 * done


def test_what_keeps_the_order_is_not_seen(chain: ls.Net) -> None:
    from layerscope.engine import model
    from layerscope.engine.onnxruntime import Session

    x = np.random.default_rng(3).normal(size=(2, 3, 17, 13)).astype(np.float32)
    blobs = chain.run(x)
    steps = [f"{kind}{step}" for step in range(STEPS) for kind in ("conv", "relu")]
    assert list(blobs) == ["x", *steps, "conv0:size"]
    want = x
    for step in range(STEPS):
        filters = chain.graph.tensors[f"w{step}"]
        assert filters is not None
        want = _convolved(want, filters).astype(np.float32)
        assert_blob_close(blobs[f"conv{step}"], want, f"conv{step}")
        want = np.maximum(want, 0)
        assert_blob_close(blobs[f"relu{step}"], want, f"relu{step}")
    np.testing.assert_array_equal(blobs["conv0:size"], blobs[f"relu{STEPS - 1}"].reshape(2, -1))
    session = Session(chain, ["conv1", "relu1"])
    assert [each.shape for each in session.run({"x": x})] == [(2, 32, 17, 13)] * 2
    assert len(session._session.get_outputs()) == 4

    # The readers of the values: the last value's first, of images only, under names of their own.
    graph = model.model(chain, ["conv0", "relu0", "conv0:size"])
    plain = len(graph.graph.node)
    model.put_in_order(graph, chain, ["conv0", "relu0", "conv0:size"])
    added = [(node.op_type, *node.input, *node.output) for node in graph.graph.node[plain:]]
    assert added == [("Size", "relu0", "relu0:size"), ("Size", "conv0", "conv0:size'")]
    alone = model.model(chain, ["relu5"])
    model.put_in_order(alone, chain, ["relu5"])
    assert len(alone.graph.node) == plain and len(alone.graph.output) == 1


def test_held_blobs_stay_as_they_are(chain: ls.Net) -> None:
    """Arrays point into the runtime's memory: no later run and no end of a session may touch it."""
    random = np.random.default_rng(4)
    held, copies = [], []
    for batch in (1, 3, 2, 3, 1):
        blobs = chain.run(random.normal(size=(batch, 3, 17, 13)))
        held.append(blobs)
        copies.append({name: array.copy() for name, array in blobs.items()})
        chain.run(random.normal(size=(2, 3, 17, 13)))  # held by nobody
    one = held[0]["conv2"][0, 5]  # a view alone keeps what it needs
    copy = one.copy()
    del blobs, held[0], copies[0]
    for _ in range(20):
        chain.run(random.normal(size=(3, 3, 17, 13)))
    np.testing.assert_array_equal(one, copy)
    held[0]["conv1"][:] = 7  # what the user writes is in that array only
    copies[0]["conv1"][:] = 7
    del chain
    gc.collect()
    for blobs, before in zip(held, copies, strict=True):
        for name, array in blobs.items():
            np.testing.assert_array_equal(array, before[name])


def test_threads_run_one_net_at_once(chain: ls.Net) -> None:
    random = np.random.default_rng(5)
    inputs = [random.normal(size=(1 + i % 3, 3, 17, 13)).astype(np.float32) for i in range(12)]
    want = [{name: array.copy() for name, array in chain.run(x).items()} for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(chain.run, inputs * 5))
    for number, blobs in enumerate(found):
        for name, array in want[number % len(inputs)].items():
            np.testing.assert_array_equal(blobs[name], array)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_thousands_of_runs_do_not_grow(chain: ls.Net) -> None:
    def megabytes() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    x = np.random.default_rng(6).normal(size=(1, 3, 17, 13)).astype(np.float32)
    kept = chain.run(x)  # one result is always held while the next is made
    for number in range(1500):
        kept = chain.run(x)
        if number == 300:
            before = megabytes()
    assert kept.nbytes > 300_000  # lost once in fifty runs that would be 8 MB
    assert megabytes() - before < 5


@pytest.mark.parametrize("way", ["as it is", "turned", "cast"])
@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "PRelu", "Concat", "MatMul", "Gemm"])
def test_a_transpose_that_the_optimizer_moves(op: str, way: str, tmp_path: Path) -> None:
    """It turns the array of a sum in doing so; the array that is handed over must be that one.

    The two transposes cancel when they meet, which makes moving one past the op worth its while.
    The middle is square, so that an array the wrong way round fits too.
    """
    random, float_ = np.random.default_rng(4), TensorProto.FLOAT
    arrays = {"w": (32, 3, 1), "table": (32, 32), "last": (5, 64 if op == "Concat" else 32, 1)}
    given = {name: random.normal(size=dims).astype(np.float32) for name, dims in arrays.items()}
    table = "wide" if op == "Concat" else "table"
    given["wide"] = given["table"][None]
    made = {"as it is": None,
            "turned": helper.make_node("Transpose", [table], ["made"],
                                       perm=[0, 2, 1] if op == "Concat" else [1, 0]),
            "cast": helper.make_node("Cast", [table], ["made"], to=float_)}[way]  # fmt: skip
    nodes = [
        *([made] if made else []),
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1]),
        helper.make_node("Squeeze", ["b"], ["c"]) if op == "Gemm" else
        helper.make_node("Identity", ["b"], ["c"]),
        helper.make_node(op, ["c", "made" if made else table], ["d"], **({"axis": 2} if op == "Concat" else {})),
        helper.make_node("Reshape", ["d", "dims"], ["e"]),
        helper.make_node("Transpose", ["d" if op != "Gemm" else "e"], ["f"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["f", "last"], ["y"]),
    ]  # fmt: skip
    given["dims"] = np.int64([1, 32, -1])
    graph = helper.make_graph(
        nodes,
        "moved",
        [helper.make_tensor_value_info("x", float_, [1, 3, 32])],
        [helper.make_tensor_value_info("y", float_, None)],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    x = random.normal(size=(1, 3, 32)).astype(np.float32)
    b = np.einsum("nci,oc->nio", x, given["w"][:, :, 0]).astype(np.float64)
    t = given["table"].T if way == "turned" else given["table"]
    d = {
        "Add": b + t, "Mul": b * t, "Max": np.maximum(b, t), "PRelu": np.where(b > 0, b, b * t),
        "Concat": np.concatenate([b, t[None]], 2), "MatMul": b @ t, "Gemm": b @ t,
    }[op]  # fmt: skip
    want = np.einsum("nic,oc->noi", d, given["last"][:, :, 0])
    got = ls.open(tmp_path / "m.onnx").run(x, ["y"])["y"]
    assert_blob_close(got, want, op, tolerance=1e-5)
