"""Damaged, hostile and unsupported models: one line, the right exit code, nothing else printed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import layerscope as ls
from layerscope import cli
from layerscope.errors import LayerscopeError
from readers.onnx.models import model, node, numbers, saved

I64 = np.int64
INFO = helper.make_tensor_value_info


def big_shape(size: int) -> Any:
    return model(
        [node("ConstantOfShape", "dims", "c", "fill"), node("Add", "x c", "y", "add")],
        {"x": (1,)}, "y", {"dims": np.array([size], I64)},
    )  # fmt: skip


def doubling(times: int) -> Any:
    nodes = [node("Concat", f"v{i} v{i}", f"v{i + 1}", axis=0) for i in range(times)]
    return model(nodes, {"v0": (64,)}, f"v{times}")


def nested(depth: int) -> Any:
    graph = helper.make_graph([node("Neg", "x", "o")], "g", [], [INFO("o", 1, None)])
    for _ in range(depth):
        choice = node("If", "c", "o", then_branch=graph, else_branch=graph)
        # Only one branch grows, so that the file stays small.
        del choice.attribute[0]
        leaf = helper.make_graph([node("Neg", "x", "o")], "g", [], [INFO("o", 1, None)])
        choice.attribute.append(helper.make_attribute("else_branch", leaf))
        graph = helper.make_graph([choice], "g", [], [INFO("o", 1, None)])
    return model(list(graph.node), {"x": (2,), "c": (TensorProto.BOOL, ())}, "o")


def nested_bytes(depth: int) -> bytes:
    """The same by hand, deeper than protobuf itself would write it."""

    def part(number: int, content: bytes) -> bytes:
        length, size = bytearray(), len(content)
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + content

    graph = b""
    for _ in range(depth):
        attribute = part(1, b"then_branch") + part(6, graph) + b"\xa0\x01\x05"
        graph = part(1, part(2, b"o") + part(4, b"If") + part(5, attribute))
    return b"\x08\x08" + part(7, graph) + part(8, b"\x10\x12")


def calling_itself() -> Any:
    function = helper.make_function(
        "own", "F", ["x"], ["y"], [node("F", "x", "y", domain="own")],
        [helper.make_opsetid("own", 1)],
    )  # fmt: skip
    return model([node("F", "x", "y", "call", domain="own")], {"x": (1,)}, "y",
                 domains={"own": 1}, functions=[function])  # fmt: skip


def function_bomb() -> Any:
    """Each function calls the one before twice: 2^30 nodes from 30 functions."""
    made = []
    for i in range(30):
        inner = [
            node(f"F{i - 1}", "x", "t", domain="own"),
            node(f"F{i - 1}", "t", "y", domain="own"),
        ]
        body = inner if i else [node("Neg", "x", "y")]
        made.append(
            helper.make_function("own", f"F{i}", ["x"], ["y"], body,
                                 [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)])
        )  # fmt: skip
    return model([node("F29", "x", "y", domain="own")], {"x": (1,)}, "y", domains={"own": 1},
                 functions=made)  # fmt: skip


def tensor_of(dims: list[int], raw: bytes = b"", element: int = 1) -> Any:
    return TensorProto(name="w", data_type=element, dims=dims, raw_data=raw)


def with_weight(tensor: Any) -> Any:
    return model([node("Add", "x w", "y")], {"x": (1,)}, "y", {"w": tensor})


def two_of(name: str) -> Any:
    made = with_weight(tensor_of([1], b"\0\0\0\0"))
    made.graph.initializer.append(made.graph.initializer[0])
    return made


def without_opset() -> Any:
    made = model([node("Relu", "x", "y")], {"x": (1,)}, "y")
    del made.opset_import[:]
    return made


def of_ir(made: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def sequence_input() -> Any:
    made = model([node("ConcatFromSequence", "x", "y", axis=0)], {"x": (1,)}, "y")
    made.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [2]))
    )
    return made


RELU = model([node("Relu", "x", "y")], {"x": (1, 2)}, "y")
PLAIN = RELU.SerializeToString()
IMAGE = {"x": ("N", 3, "H", "W")}

# name: (what is in the file, exit code, words of the line)
BAD: dict[str, tuple[Any, int, str]] = {
    "empty": (b"", 3, "the file is empty"),
    "one byte": (b"\x08", 3, "ends early"),
    "truncated": (PLAIN[:-3], 3, "ends early"),
    "no graph": (onnx.ModelProto(ir_version=8, opset_import=[helper.make_opsetid("", 18)]), 3,
                 "without a graph"),
    "wire type": (b"\x08\x08\x3a\x02\x0f\x00", 3, "damaged at byte"),
    "inner rubbish": (b"\x08\x08\x42\x02\x10\x12\x3a\x04\x0a\x02\xff\xff", 3, "damaged"),
    "claims 1 PB": (b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\x01", 3, "ends early"),
    "no opset": (without_opset(), 3, "opset_import"),
    "opset 1000": (model([node("Relu", "x", "y")], {"x": (1,)}, "y", opset=1000), 4, "opset 1000; 6 to"),
    "opset 3": (model([node("Relu", "x", "y")], {"x": (1,)}, "y", opset=3), 4, "opset 3; 6 to"),
    "cycle": (model([node("Add", "x b", "a", "one"), node("Neg", "a", "b", "two")], {"x": (1,)}, "b"),
              3, "runs in a circle"),
    "written twice": (model([node("Neg", "x", "y", "one"), node("Abs", "x", "y", "two")],
                            {"x": (1,)}, "y"), 3, 'value "y" is written twice: node "one" (Neg) and'),
    "writes an input": (model([node("Neg", "x", "x")], {"x": (1,)}, "x"), 3, "written twice"),
    "reads nothing": (model([node("Neg", "gone", "y", "n")], {"x": (1,)}, "y"), 3,
                      'node "n" (Neg) reads "gone", which nothing writes'),
    "output of nobody": (model([node("Neg", "x", "y")], {"x": (1,)}, "z"), 3,
                         'output "z" is written by no node'),
    "two weights of one name": (two_of("w"), 3, 'two weights have the name "w"'),
    "too few numbers": (with_weight(tensor_of([2, 3], b"\0" * 20)), 3, "needs 24 bytes, there are 20"),
    "negative axis": (with_weight(tensor_of([-1], b"")), 3, 'tensor "w": shape (-1,)'),
    "an input left out": (model([node("Min", "x -", "y", "n")], {"x": (1,)}, "y"), 3,
                          'node "n": input 1 is left out, which Min needs'),
    "too many inputs": (model([node("Relu", "x x", "y", "n")], {"x": (1,)}, "y"), 3,
                        'node "n": 2 inputs, Relu has 1'),
    "an attribute of another type": (model([node("Softmax", "x", "y", "n", axis="one")],
                                           {"x": (1,)}, "y"), 3, 'node "n": attribute "axis" is of'),
    "no numbers": (with_weight(tensor_of([2])), 3, 'tensor "w"'),
    "huge claim": (with_weight(tensor_of([2**40])), 5, "more than any machine holds"),
    "product overflows": (with_weight(tensor_of([2**33, 2**33, 2**33])), 5, "more than any machine"),
    "element type": (with_weight(tensor_of([1], b"\0\0\0\0", 99)), 3, "element type 99"),
    "nested 200 deep": (nested_bytes(200), 3, "nested very deep"),
    "nested 18 deep": (nested(18), 5, "nested deeper than 16"),
    "function calls itself": (calling_itself(), 3, "without end"),
    "function bomb": (function_bomb(), 5, "functions make more than"),
    "2^50 numbers": (big_shape(2**50), 5, "more than any machine holds"),
    "2^31 axes": (model([node("Identity", "s", "t"), node("Expand", "x t", "y", "n")],
                        {"x": (1,), "s": (TensorProto.INT64, (2**31 - 1,))}, "y"), 5,
                  'node "n" (Expand): its result would have 2,147,483,647 axes'),
    "2^40 axes": (model([node("ConstantOfShape", "c", "t"), node("Cast", "t", "s", to=7),
                         node("Reshape", "x s", "y", "n")],
                        {"x": (1,)}, "y", {"c": np.array([2**40], I64)}), 5, "1,099,511,627,776 axes"),
    "text input": (model([node("Identity", "x", "y")], {"x": (TensorProto.STRING, (1,))}, "y"), 4,
                   'input "x" takes text'),
    "sequence input": (sequence_input(), 4, 'input "x" is a sequence'),
    "sizes free": (model([node("Relu", "x", "y")], IMAGE, "y"), 4,
                   'input "x" has height (H) and width (W) free: give --input-shape x=1,3,224,224'),
    "last axis free": (model([node("Relu", "ids", "y")], {"ids": ("N", "length")}, "y"), 4,
                       'input "ids" has axis 1 (length) free: give --input-shape ids=1,128'),
    "no shape": (model([node("Relu", "x", "y")], {"x": None or (1, None)}, "y"), 4, "axis 1 free"),
    "does not fit": (model([node("MatMul", "x w", "y", "fc")], {"x": (1, 3)}, "y",
                           {"w": numbers(4, 5)}), 4, "does not accept"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\n", 3, "Git LFS pointer"),
    "web page": (b"<!DOCTYPE html><html>", 3, "a web page"),
    "ort format": (b"\x08\0\0\0ORTM" + b"\0" * 40, 3, "ONNX Runtime's own form"),
    "pickle": (b"\x80\x02}q\x00.", 3, "pickle"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_one_line_and_its_exit_code(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content, code, words = BAD[case]
    path = tmp_path / "m.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    start = time.perf_counter()
    assert cli.run(["shapes", str(path), "--json"]) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and len(err) <= 301 and err[:-1].isprintable()
    assert words in err
    assert time.perf_counter() - start < 10


def test_every_truncation(tmp_path: Path) -> None:
    """A file cut at any byte is a one-line error, or a smaller valid model: never another fault."""
    made = model(
        [node("Conv", "x w b", "c", "conv"), node("Relu", "c", "y", "relu")],
        {"x": (1, 2, 4, 4)}, "y", {"w": numbers(3, 2, 2, 2), "b": numbers(3)},
    ).SerializeToString()  # fmt: skip
    opened = 0
    path = tmp_path / "m.onnx"
    for end in range(len(made)):
        path.write_bytes(made[:end])
        try:
            ls.open(path)
            opened += 1
        except LayerscopeError:
            pass
    assert opened <= 3


def test_changed_bytes(tmp_path: Path) -> None:
    """2,000 files with a byte changed: ours errors only."""
    made = bytearray(
        model(
            [node("Conv", "x w", "c", "conv"), node("Softmax", "c", "y", "s", axis=1)],
            {"x": (1, 2, 4, 4)}, "y", {"w": numbers(3, 2, 2, 2)}, 11,
        ).SerializeToString()
    )  # fmt: skip
    random = np.random.default_rng(7)
    path, opened = tmp_path / "m.onnx", 0
    for _ in range(2000):
        content = bytearray(made)
        for at in random.integers(0, len(made), random.integers(1, 4)):
            content[at] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            ls.open(path)
            opened += 1
        except LayerscopeError as error:
            assert "\n" not in ls.errors.__doc__[:0] + str(error)
    assert 200 < opened < 1900


UNKNOWN = model(
    [
        node("Relu", "x", "a", "r"), node("Magic", "a", "b", "trick", domain="com.example"),
        node("Neg", "b", "c", "n"), node("Abs", "a", "d", "fine"),
    ],
    {"x": (1, 3)}, "c d", domains={"com.example": 1},
)  # fmt: skip


def test_an_unknown_domain_is_listed_and_the_rest_runs(tmp_path: Path) -> None:
    net = ls.open(saved(tmp_path, UNKNOWN))
    assert [each.name for each in net.not_computed] == ["trick", "n"]
    assert 'node "trick" (com.example::Magic): the ops of domain "com.example"' in (
        net.not_computed[0].reason
    )
    assert 'needs "b"' in net.not_computed[1].reason
    assert list(net.blobs) == ["x", "a", "d"] and net.outputs == ("d",)
    with pytest.raises(ls.errors.UnsupportedError, match=r"com\.example::Magic"):
        net.run(numbers(1, 3))
    np.testing.assert_array_equal(net.run(numbers(1, 3), ["d"])["d"], np.maximum(numbers(1, 3), 0))


def test_unknown_ops_have_their_nearest(tmp_path: Path) -> None:
    made = model([node("Convolution", "x", "y", "c"), node("FusedConvv", "x", "z", "f", domain="com.microsoft")],
                 {"x": (1, 3)}, "y z", domains={"com.microsoft": 1})  # fmt: skip
    first, second = ls.open(saved(tmp_path, made)).not_computed
    assert 'node "c" (Convolution): ONNX has no such op in opset 18; nearest: ' in first.reason
    assert "ONNX Runtime has no such op; nearest: FusedConv" in second.reason


def test_too_large_for_memory_is_said_before_the_run(tmp_path: Path) -> None:
    for made in (big_shape(2**38), doubling(32)):
        start = time.perf_counter()
        net = ls.open(saved(tmp_path, made))
        with pytest.raises(ls.errors.LimitError, match="of memory are free"):
            net.run(np.zeros(net.graph.shapes[net.inputs[0]], np.float32), net.outputs)
        assert time.perf_counter() - start < 5


def test_a_loop_without_end_at_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its result's shape is computed, so a run would be needed; that is stopped."""
    from layerscope.readers.onnx import trial

    monkeypatch.setattr(trial, "SECONDS", 0.5)
    body = helper.make_graph(
        [node("Identity", "go", "went"), node("Add", "v v", "w")], "body",
        [INFO("i", 7, ()), INFO("go", TensorProto.BOOL, ()), INFO("v", 7, (1,))],
        [INFO("went", TensorProto.BOOL, ()), INFO("w", 7, (1,))],
    )  # fmt: skip
    made = model(
        [
            node("Loop", "many yes one", "n", "forever", body=body),
            node("Min", "n one", "size"), node("Expand", "x size", "y", "grow"),
        ],
        {"x": (1,)}, "y",
        {"many": np.array(2**62, I64), "yes": np.array(True), "one": np.array([1], I64)},
    )  # fmt: skip
    start = time.perf_counter()
    with pytest.raises(ls.errors.LimitError, match=r"took longer than 0"):
        ls.open(saved(tmp_path, made))
    assert time.perf_counter() - start < 5


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """y = x, after a Loop within an If that counts for ever; every shape is stated."""
    body = helper.make_graph(
        [node("Identity", "go", "went"), node("Add", "v v", "w")], "body",
        [INFO("i", 7, ()), INFO("go", TensorProto.BOOL, ()), INFO("v", 1, (1,))],
        [INFO("went", TensorProto.BOOL, ()), INFO("w", 1, (1,))],
    )  # fmt: skip
    again = node("Loop", "many yes x", "n", "forever", body=body)
    branch = helper.make_graph([again], "branch", [], [INFO("n", 1, (1,))])
    made = model(
        [node("Not", "no", "really"),
         node("If", "really", "z", "choice", then_branch=branch, else_branch=branch)],
        {"x": (1,), "no": (TensorProto.BOOL, ())}, "z",
        {"many": np.array(2**62, I64), "yes": np.array(True)},
    )  # fmt: skip
    made.graph.value_info.append(INFO("z", 1, (1,)))
    np.savez(tmp_path / "in.npz", x=np.ones(1, np.float32), no=np.array(False))
    return saved(tmp_path, made)


def test_a_run_without_end_is_a_limit(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.engine import onnxruntime

    net = ls.open(endless)
    monkeypatch.setattr(onnxruntime, "LOOP_SECONDS", 0.5)
    start = time.perf_counter()
    words = r'net "little": layer "choice" \(If\) repeats .* took longer than 0.5 s'
    with pytest.raises(ls.errors.LimitError, match=words):
        net.run(dict(np.load(endless.with_name("in.npz"))))
    assert time.perf_counter() - start < 5


def test_ctrl_c_ends_a_run_without_end(endless: Path) -> None:
    arguments = ["show", str(endless), "--blob", "z", "-o", str(endless.with_name("z.png")),
                 str(endless.with_name("in.npz"))]  # fmt: skip
    program = (
        "import sys, layerscope.engine.onnxruntime as e; before = e.call_until\n"
        "def told(*a):\n    print('runs', flush=True); return before(*a)\n"
        "e.call_until = told\n"
        f"from layerscope import cli; sys.exit(cli.run({arguments!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "runs\n"
    time.sleep(0.2)
    start = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "error: interrupted")
    assert time.perf_counter() - start < 10
    assert not endless.with_name("z.png").exists()


def test_what_the_runtime_prints_never_reaches_the_user(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A model that makes the runtime warn when it opens and complain when it runs."""
    made = model(
        [
            node("Gather", "w i", "g", "pick"), node("Identity", "unused", "u"),
            node("Add", "x g", "y", "add"),
        ],
        {"x": (1, 2), "i": (TensorProto.INT64, (1,))}, "y",
        {"w": numbers(3, 2), "unused": numbers(500)},
    )  # fmt: skip
    np.save(tmp_path / "x.npy", numbers(1, 2))
    np.save(tmp_path / "i.npy", np.array([9]))
    path = str(saved(tmp_path, made))
    feed = [f"--input={n}={tmp_path / n}.npy" for n in "xi"]
    picture = str(tmp_path / "y.png")
    assert cli.run(["show", path, "--blob", "y", *feed, "-o", picture, "--json"]) == 4
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and "pick" in err
    np.save(tmp_path / "i.npy", np.array([2]))
    assert cli.run(["show", path, "--blob", "y", *feed, "-o", picture, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["written"] == picture and err == ""


def test_a_blob_behind_an_unknown_op(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name is in the file: why there is no such blob is said."""
    made = model(
        [node("Relu", "x", "r", "first"), node("Unheard", "r", "boxes", "nms", domain="TRT")],
        {"x": (1, 2)}, "boxes", domains={"TRT": 1},
    )  # fmt: skip
    np.save(tmp_path / "x.npy", numbers(1, 2))
    words = [str(saved(tmp_path, made)), str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.png")]
    assert cli.run(["show", *words, "--blob", "boxes"]) == 4
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert 'error: blob "boxes": node "nms" (TRT::Unheard)' in err
    assert cli.run(["show", *words, "--blob", "box"]) == 2
    assert 'blob "box" is not in net "little"' in capsys.readouterr().err
    assert cli.run(["show", *words, "--blob", "r"]) == 0


def test_hostile_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", numbers(1, 2))
    page = tmp_path / "p.html"
    ends = []
    for name in ("plain", "\x1b[31m\u202e</script>\n" + "a" * 2000):
        made = model([helper.make_node("Relu", ["x"], [name], name=name)], {"x": (1, 2)}, "x")
        path = saved(tmp_path, made)
        assert cli.run(["shapes", str(path)]) == 0
        out, _ = capfd.readouterr()
        assert all(line.isprintable() for line in out.splitlines()) and "\x1b" not in out
        assert cli.run(["report", str(path), str(tmp_path / "x.npy"), "-o", str(page)]) == 0
        ends.append(page.read_text().count("</script>"))
    assert ends[0] == ends[1]


def test_the_same_node_name_twice(tmp_path: Path) -> None:
    """ONNX Runtime refuses that; the names of layers are made unlike."""
    made = model([node("Relu", "x", "a", "n"), node("Neg", "a", "y", "n")], {"x": (1, 2)}, "y")
    net = ls.open(saved(tmp_path, made))
    assert [each.name for each in net.layers] == ["x", "n", "n:2"]
    np.testing.assert_array_equal(net.run(numbers(1, 2))["y"], -np.maximum(numbers(1, 2), 0))


def test_many_nodes_open_in_time(tmp_path: Path) -> None:
    """A chain of 5,000 layers; twice as many take about twice as long."""
    took = []
    for count in (2500, 5000):
        nodes = [node("Neg", f"v{i}", f"v{i + 1}") for i in range(count)]
        path = saved(tmp_path, model(nodes, {"v0": (1, 2)}, f"v{count}"))
        start = time.perf_counter()
        assert len(ls.open(path).layers) == count + 1
        took.append(time.perf_counter() - start)
    assert took[1] < 15


def test_with_weights_of_caffe(tmp_path: Path, small: tuple[Path, Path]) -> None:
    path = saved(tmp_path, RELU)
    for pair in ((path, small[1]), (small[0], path)):
        with pytest.raises(ls.errors.UsageError, match=r"m.onnx is an ONNX file.*give it alone"):
            ls.open(*pair)
    with pytest.raises(ls.errors.UsageError, match="ONNX has none"):
        ls.open(path, phase="TRAIN")


def test_recognised_by_content(tmp_path: Path, small: tuple[Path, Path]) -> None:
    """Whatever the names say: an ONNX file without its suffix, a caffemodel that has it."""
    assert ls.open(saved(tmp_path, RELU, "weights.bin")).format == "onnx"
    assert ls.open(saved(tmp_path, RELU, "net.caffemodel")).format == "onnx"
    moved = small[1].rename(tmp_path / "caffe.onnx")
    assert ls.open(small[0], moved).format == "caffe"


def test_larger_than_protobuf_reads(tmp_path: Path) -> None:
    """2.2 GB in one file, most of it a hole: the weights are a view, and nothing is read."""
    from layerscope.readers.onnx.wire import _tag, _varint

    count = 550_000_000
    made = model([node("Gather", "w i", "y", "pick")], {"i": (TensorProto.INT64, (1,))}, "y")
    rest = made.graph.SerializeToString()
    head = TensorProto(name="w", data_type=1, dims=[count]).SerializeToString()
    head += _tag(9) + _varint(4 * count)
    size = len(head) + 4 * count
    before = _tag(5) + _varint(size) + head
    graph = len(before) + 4 * count + len(rest)
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.write(b"\x08\x08\x42\x02\x10\x12" + _tag(7) + _varint(graph) + before)
        file.seek(4 * count - 4, 1)
        file.write(np.float32(2.5).tobytes() + rest)
    start = time.perf_counter()
    net = ls.open(path)
    assert time.perf_counter() - start < 5
    assert path.stat().st_size > 2**31
    assert net.params["pick"][0].shape == (count,) and net.params["pick"][0].data[-1] == 2.5
