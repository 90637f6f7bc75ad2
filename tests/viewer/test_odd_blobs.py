"""Blobs and inputs that are no maps of one image of floats: their values, units and statements."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import layerscope as ls
from layerscope.viewer.gallery import Exhibit, Gallery, demo_images, given_images
from layerscope.viewer.scope import Look, Scope
from layerscope.viewer.server import Viewer
from layerscope.viewer.session import Session
from layerscope.viewer.study import answer
from layerscope.viewer.wire import Message, whole

POOLED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 6 dim: 7 } } }
layer { name: "g" type: "Pooling" bottom: "data" top: "g" pooling_param { pool: AVE global_pooling: true } }
"""
PAIR = """
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 3 dim: 6 dim: 7 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 3 dim: 6 dim: 7 } } }
layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "s" }
"""
TABLE = np.arange(60, dtype=np.float32).reshape(20, 3)


def opened(words: str, path: Path) -> ls.Net:
    (path / "net.prototxt").write_text(words)
    return ls.open(path / "net.prototxt")


def onnx_net(path: Path, nodes: list[Any], feed: Any, outputs: list[str], table: Any = None) -> Any:
    values = [helper.make_tensor_value_info(name, 0, None) for name in outputs]
    tables = [] if table is None else [numpy_helper.from_array(table, "table")]
    graph = helper.make_graph(nodes, "odd", [feed], values, tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path / "net.onnx")
    return ls.open(path / "net.onnx")


def shown(session: Session, image: str) -> Scope:
    scope = Scope(session)
    scope.put(Look(image=image), None)
    return scope


def value(scope: Scope, **asked: Any) -> float:
    found = answer(scope, {"ask": "values", "tile": 0, "y": 0, "h": 1, "w": 1, **asked})
    return float(np.frombuffer(base64.b64decode(found["values"]), "<f4")[0])


def test_a_number_of_a_pool_over_the_whole_map(tmp_path: Path) -> None:
    array = np.random.default_rng(3).normal(size=(1, 3, 6, 7)).astype(np.float32)
    session = Session(opened(POOLED, tmp_path), given_images([array]))
    scope = shown(session, "image1")
    for channel in range(3):
        wanted = array[0, channel].astype(float).mean()
        assert value(scope, blob="g", x=channel) == pytest.approx(wanted, rel=1e-5)
        why = answer(scope, {"ask": "why", "blob": "g", "index": [channel]})
        assert why["recomputed"] == pytest.approx(wanted, rel=1e-6)


def test_inputs_of_whole_numbers(tmp_path: Path) -> None:
    """As the words of a text: noise of them are numbers that a table has."""
    feed = helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 4])
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"], name="rows")]
    net = onnx_net(tmp_path, nodes, feed, ["rows"], TABLE)
    session = Session(net, demo_images())
    assert [each["title"] for each in session.gallery.as_json()["images"]] == ["noise"]
    scope = shown(session, "noise")
    ids = scope.array("ids")
    assert ids.dtype == np.int64 and set(ids.ravel().tolist()) <= {0, 1}
    np.testing.assert_array_equal(scope.array("rows"), TABLE[ids])
    given = session.accept(np.array([[3, 0, 19, 7]]))
    np.testing.assert_array_equal(shown(session, given.key).array("rows")[0], TABLE[[3, 0, 19, 7]])


def test_a_blob_of_one_number_is_explained(tmp_path: Path) -> None:
    feed = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 6])
    nodes = [helper.make_node("ReduceSum", ["x"], ["sum"], name="sum", keepdims=0)]
    array = np.array([[1.5, -2, 4, 0.25, 8, -16]], np.float32)
    session = Session(onnx_net(tmp_path, nodes, feed, ["sum"]), given_images([array]))
    scope = shown(session, "image1")
    why = answer(scope, {"ask": "why", "blob": "sum", "index": [0]})
    assert why["recomputed"] == 1.5 - 2 + 4 + 0.25 + 8 - 16 == value(scope, blob="sum", x=0)
    with pytest.raises(ls.LayerscopeError, match="has no unit"):
        answer(scope, {"ask": "why", "blob": "sum", "index": [1]})


def test_of_a_batch_the_first_is_shown_and_that_is_said(tmp_path: Path) -> None:
    arrays = np.random.default_rng(5).normal(size=(5, 3, 6, 7)).astype(np.float32)
    net = opened(PAIR, tmp_path)
    session = Session(net, Gallery([Exhibit("all", "all", arrays)]), others={"b": arrays[1:4]})
    fed = session.feed(arrays)["a"]
    assert fed.statement == "array (5, 3, 6, 7), fed as it is; the first of 5 is shown"
    np.testing.assert_array_equal(shown(session, "all").array("s"), arrays[:1] + arrays[1:2])
    assert session.accept(arrays).statement == fed.statement
    one = session.feed(arrays[:1])["a"].statement
    assert one == "array (1, 3, 6, 7), fed as it is"


@pytest.mark.parametrize(("dims", "rows"), [((7, 4, 3, 2), 7), ((9, 5), 9), ((1, 5), 1), ((5,), 1)])
def test_how_many_there_are_along_the_first_axis(dims: tuple[int, ...], rows: int) -> None:
    part, _ = whole(Message("frame"), np.zeros(dims, np.float32), 0)
    assert part["rows"] == rows


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("127.0.0.2", "127.0.0.2")]
)
def test_the_link_leads_to_where_it_listens(host: str, shown: str, tmp_path: Path) -> None:
    import socket
    import urllib.request

    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        pytest.skip(f"this machine has no {host}")
    session = Session(opened(POOLED, tmp_path), demo_images())
    with Viewer(session, host=host, port=0, browser=False).start() as viewer:
        assert viewer.url.startswith(f"http://{shown}:{viewer.port}/#")
        page = urllib.request.urlopen(viewer.url.partition("#")[0], timeout=5)
        assert page.status == 200
