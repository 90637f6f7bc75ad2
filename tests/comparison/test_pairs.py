"""Nets of two files that should be one net: a planted change is found at its layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

import layerscope as ls
from conftest import GOLDEN
from layerscope.comparison.result import Comparison
from layerscope.demo import DEFINITION, WEIGHTS, images

pytest_plugins = ["quantizing"]

MINI = next(p for p in GOLDEN if p.name == "net_mini_caffenet")
Pair = tuple[ls.Net, Path, object]


@pytest.fixture(scope="module", params=["demo", "mini"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A Caffe net, its conversion, and what to feed."""
    path = tmp_path_factory.mktemp("pair") / "net.onnx"
    if request.param == "demo":
        net, fed = ls.open(DEFINITION, WEIGHTS), images()["cat"]
    else:
        net = ls.open(MINI / "net.prototxt", MINI / "net.caffemodel")
        with np.load(MINI / "golden.npz") as golden:
            fed = {key[3:]: golden[key] for key in golden.files if key.startswith("in/")}
    ls.convert(net, path)
    return net, path, fed


def changed(path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """The file with a change, beside it."""
    made = onnx.load(path)
    change(made)
    other = path.with_name(f"changed-{path.name}")
    onnx.save(made, other)
    return other


def maker(made: onnx.ModelProto, weights: str) -> NodeProto:
    """The node that reads a tensor."""
    return next(node for node in made.graph.node if weights in node.input)


def scaled(weights: str, factor: float = 1.02) -> Callable[[onnx.ModelProto], None]:
    def change(made: onnx.ModelProto) -> None:
        tensor = next(t for t in made.graph.initializer if t.name == weights)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, weights))

    return change


def renamed(made: onnx.ModelProto) -> None:
    """Values as PyTorch's tracing exporter calls them; nodes too, tensors by number."""
    names = {each.name: each.name for each in (*made.graph.input, *made.graph.output)}
    tensors = {t.name: f"onnx::Param_{i}" for i, t in enumerate(made.graph.initializer)}
    for node in made.graph.node:
        name = (node.name or node.output[0]).replace("@", "_")
        node.name = f"/features/{name}/{node.op_type}"
        names |= {o: f"{node.name}_output_{i}" for i, o in enumerate(node.output) if o not in names}
    names |= tensors
    for node in made.graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for tensor in made.graph.initializer:
        tensor.name = names[tensor.name]
    del made.graph.value_info[:]


def layers_of(net: ls.Net) -> dict[str, str]:
    """Weights to the layer that has them; of the demo net, which takes longer, each third."""
    found = {e.params[0].name: e.name for e in net.layers if e.params}
    step = 3 if net.name == "layerscope-demo" else 1
    return {name: found[name] for name in list(found)[::step]}


def planted_at_every_layer(
    net: ls.Net, path: Path, compared: Callable[[Path], Comparison]
) -> dict[str, str]:
    """Scale the weights of one layer after the other; the layers at which that was found."""
    found = {}
    for weights in layers_of(net):
        first = compared(changed(path, scaled(weights))).first
        assert first is not None, weights
        found[weights] = first.layer_a
        assert 30 < first.worst.snr < 40  # 2 % is 34 dB; the bias is not scaled
    return found


def test_caffe_against_its_conversion(pair: Pair) -> None:
    net, path, fed = pair
    same = ls.compare(net, ls.open(path), fed, threshold=0)
    assert same.first is None and not same.only_a and len(same.rows) >= 10
    found = planted_at_every_layer(net, path, lambda b: ls.compare(net, ls.open(b), fed))
    assert found == layers_of(net) and len(found) >= 3


def test_onnx_against_onnx_of_an_exporter_that_renames(pair: Pair) -> None:
    _, path, fed = pair
    net = ls.open(path)
    known, told = set(net.blobs), ls.open(changed(path, renamed))
    assert len(known & set(told.blobs)) <= 2
    same = ls.compare(net, told, fed, threshold=0)
    assert same.first is None and len(same.rows) == len(net.blobs)

    def compared(b: Path) -> Comparison:
        return ls.compare(net, ls.open(changed(b, renamed)), fed)

    assert planted_at_every_layer(net, path, compared) == layers_of(net)


@pytest.mark.parametrize("rename", [False, True])
def test_a_changed_pad_and_a_changed_dilation(pair: Pair, *, rename: bool) -> None:
    """Both keep every shape, and every weight."""
    net, path, fed = pair

    def set_to(layer: str, **settings: list[int]) -> Path:
        def change(made: onnx.ModelProto) -> None:
            node = maker(made, f"{layer}/0")
            kept = [each for each in node.attribute if each.name not in settings]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.extend(helper.make_attribute(*each) for each in settings.items())
            if rename:
                renamed(made)

        return changed(path, change)

    one, other = ls.open(path), {}
    for name in ("conv2", "conv3"):
        node = maker(onnx.load(path), f"{name}/0")
        pad = next(list(a.ints) for a in node.attribute if a.name == "pads")
        assert pad[0] > 0 and len(set(pad)) == 1
        other[name] = pad[0]
    shifted = {"pads": [other["conv2"] + 1, other["conv2"], other["conv2"] - 1, other["conv2"]]}
    spread = {"pads": [2 * other["conv3"]] * 4, "dilations": [2, 2]}
    for layer, settings in (("conv2", shifted), ("conv3", spread)):
        path_b = set_to(layer, **settings)
        for a in (net, one):
            found = ls.compare(a, ls.open(path_b), fed)
            assert found.first is not None and found.first.layer_a == layer
            before = found.rows[: found.rows.index(found.first)]
            assert before and all(row.worst.equal for row in before)
        weights = ls.compare(net, ls.open(path_b), weights=True, threshold=0)
        assert weights.first is None and not weights.only_a and len(weights.rows) >= 10


def test_a_norm_in_the_weights_before_it(tmp_path: Path) -> None:
    """A conversion that folds batch norms keeps the conv's name for what stands after the norm."""
    net_a, net_b = tmp_path / "a.onnx", tmp_path / "b.onnx"
    random = np.random.default_rng(6)
    x = random.normal(size=(1, 3, 9, 8)).astype(np.float32)
    w = [random.normal(size=(4, c, 3, 3)).astype(np.float32) for c in (3, 4)]
    norm = random.uniform(0.5, 2, (2, 4, 4)).astype(np.float32)
    whole, folded, parts, merged = [], [], {}, {}
    value = "x"
    for i in range(2):
        stats = [f"bn{i}.{k}" for k in range(4)]
        conv, bn, relu = f"conv{i}", f"bn{i}", f"relu{i}"
        whole += [
            helper.make_node("Conv", [value, f"w{i}"], [conv], name=conv),
            helper.make_node("BatchNormalization", [conv, *stats], [bn], name=bn, epsilon=0.0),
            helper.make_node("Relu", [bn], [relu], name=relu),
        ]
        folded += [
            helper.make_node("Conv", [value, f"w{i}", f"b{i}"], [conv], name=conv),
            helper.make_node("Relu", [conv], [relu], name=relu),
        ]
        parts |= {f"w{i}": w[i], **dict(zip(stats, norm[i], strict=True))}
        gain = norm[i][0] / np.sqrt(norm[i][3])
        merged |= {f"w{i}": w[i] * gain[:, None, None, None]}
        merged |= {f"b{i}": norm[i][1] - norm[i][2] * gain}
        value = relu
    _save(net_a, whole, parts)
    _save(net_b, folded, merged)
    for a, b, turned in ((net_a, net_b, False), (net_b, net_a, True)):
        found = ls.compare(ls.open(a), ls.open(b), x)
        pairs = {row.b: row.a for row in found.rows} if turned else {r.a: r.b for r in found.rows}
        assert pairs == {"x": "x", "bn0": "conv0", "relu0": "relu0", "bn1": "conv1",
                         "relu1": "relu1"}  # fmt: skip
        assert found.first is None and [r.how for r in found.rows].count("folded norm") == 2
        assert (found.only_b if turned else found.only_a) == ("conv0", "conv1")
        assert "2 by folded norm" in str(found)
    told = ls.compare(ls.open(net_a), ls.open(net_b), weights=True)
    assert "A has 2 batch norms, B has none" in told.notes[0] and told.first is not None
    merged["w1"] = merged["w1"] * np.float32(1.02)
    _save(net_b, folded, merged)
    first = ls.compare(ls.open(net_a), ls.open(net_b), x).first
    assert first is not None and (first.a, first.b) == ("bn1", "conv1")
    given = ls.compare(ls.open(net_a), ls.open(net_b), x, match={"conv0": "conv0"})
    assert given.first is not None and given.first.a == "conv0"


def _save(path: Path, nodes: list[NodeProto], tensors: dict[str, np.ndarray]) -> None:
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 3, 9, 8))],
        [helper.make_empty_tensor_value_info("relu1")],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path
    )


def quantized_weights(path: Path) -> dict[str, float]:
    """Theory: rounding to a step s is noise of s*s/12, so many dB below the weights' power."""
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    found = {}
    for name, codes in tensors.items():
        if name.endswith("/0_quantized"):
            axis = max(range(codes.ndim), key=lambda k: codes.shape[k] == tensors[
                name.replace("_quantized", "_scale")].size)  # fmt: skip
            scale = tensors[name.replace("_quantized", "_scale")].astype(np.float64)
            shape = [-1 if k == axis else 1 for k in range(codes.ndim)]
            values = codes * scale.reshape(shape)
            noise = np.mean(np.broadcast_to(scale.reshape(shape) ** 2, codes.shape)) / 12
            found[name.removesuffix("_quantized")] = 10 * np.log10(np.mean(values**2) / noise)
    return found


def test_the_curve_of_a_quantized_net(floats: Path, int8: Path) -> None:
    a, b = ls.open(floats), ls.open(int8)
    found = ls.compare(a, b, images()["cat"], by="snr", threshold=15)
    assert found.first is None and len(found.rows) == len(a.blobs) and not found.only_a
    snr = {row.a: row.worst.snr for row in found.rows}
    assert snr.pop("data") == np.inf  # what is fed, before its codes
    assert all(15 < value < 60 for value in snr.values())
    # Every conv adds the rounding of its weights and of what it reads; later the products of many
    # weights average it out.
    convs = [snr[f"conv{i}@conv{i}"] for i in range(1, 6)]
    assert convs == sorted(convs, reverse=True) and convs[0] - convs[-1] > 5
    rounded = [snr[f"conv{i}"] for i in range(1, 6)]
    assert rounded[0] > rounded[-1]
    assert all(after < before for after, before in zip(rounded, convs, strict=True))
    assert found.worst is not None and found.worst.a == "conv5"


def test_the_weights_of_a_quantized_net(floats: Path, int8: Path) -> None:
    found = ls.compare(ls.open(floats), ls.open(int8), weights=True, by="snr")
    theory = quantized_weights(int8)
    snr = {row.a: row.worst.snr for row in found.rows}
    assert len(theory) == 8 and len(snr) == 16
    for name, expected in theory.items():
        assert snr[name] == pytest.approx(expected, abs=0.5)
        # At most that of numbers spread evenly over all codes: 6.02 dB a bit.
        assert 6.02 * 8 - 12 < snr[name] < 6.02 * 8
    assert all(snr[name.replace("/0", "/1")] > snr[name] for name in theory)  # 32 bits
