"""RNN, LSTM and LSTMUnit against slow loops written from Caffe's rules."""

from __future__ import annotations

import numpy as np
import pytest

import layerscope as ls
from closeness import assert_blob_close
from onelayer import net_of

RANDOM = np.random.default_rng(31)
T, N, D = 4, 3, 5


def random(*dims: int) -> np.ndarray:
    return RANDOM.normal(size=dims).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_unit(c, gates, cont):
    i, f, o, g = np.split(gates.astype(np.float64), 4, axis=-1)
    c = cont * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return c, sigmoid(o) * np.tanh(c)


def slow(kind, x, cont, static, weights, states):
    """Step by step; weights in Caffe's order."""
    weights = [w.astype(np.float64) for w in weights]
    w_x, b = weights[:2]
    rest = weights[2:]
    add = b + (static.reshape(N, -1) @ rest.pop(0).T if static is not None else 0)
    h, outputs = states[0].copy(), []
    c = states[-1].copy()
    for t in range(len(x)):
        mark = cont[t][:, None]
        gates = x[t].reshape(N, -1) @ w_x.T + add + (mark * h) @ rest[0].T
        if kind == "LSTM":
            c, h = slow_unit(c, gates, mark)
            outputs.append(h)
        else:
            h = np.tanh(gates)
            outputs.append(np.tanh(h @ rest[1].T + rest[2]))
    return np.stack(outputs), h, c


def case(kind: str, static: bool, exposed: bool):
    gates, states = (4, ("h", "c")) if kind == "LSTM" else (1, ("h",))
    weights = [random(gates * D, 6), random(gates * D)]
    weights += [random(gates * D, 8)] if static else []
    weights += [random(gates * D, D)]
    weights += [] if kind == "LSTM" else [random(D, D), random(D)]
    feeds = {
        "x": random(T, N, 2, 3),
        "cont": np.float32([[0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0.5, 1]]),
    }
    feeds |= {"static": random(N, 8)} if static else {}
    feeds |= {f"{s}0": random(1, N, D) for s in states} if exposed else {}
    bottoms = " ".join(f'bottom: "{name}"' for name in feeds)
    tops = " ".join(f'top: "{top}"' for top in ("y", *(states if exposed else ())))
    layer = (
        f'layer {{ name: "r" type: "{kind}" {bottoms} {tops}'
        f" recurrent_param {{ num_output: {D} expose_hidden: {str(exposed).lower()} }} }}"
    )
    return layer, weights, feeds, states


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_recurrent(tmp_path, kind, static, exposed):
    layer, weights, feeds, states = case(kind, static, exposed)
    if exposed:
        feeds["cont"][0] = [1, 0, 1]  # the first step goes on from the states that are fed
    more = {name: array.shape for name, array in feeds.items() if name != "x"}
    net = net_of(tmp_path, feeds["x"].shape, layer, {"r": weights}, more)
    blobs = net.run(feeds)
    begin = [feeds[f"{s}0"][0] if exposed else np.zeros((N, D)) for s in states]
    y, h, c = slow(kind, feeds["x"], feeds["cont"], feeds.get("static"), weights, begin)
    assert_blob_close(blobs["y"], y, "y")
    if exposed:
        assert_blob_close(blobs["h"], h[None], "h")
        if kind == "LSTM":
            assert_blob_close(blobs["c"], c[None], "c")
    assert net.layer("r").summary == f"{D} units, {T} steps of {N} streams"
    assert [p.shape for p in net.params["r"]] == [w.shape for w in weights]


def test_another_number_of_steps_and_one_step(tmp_path):
    """The first axis is time: the net is built anew for another length; each run begins at zero."""
    layer, weights, feeds, states = case("LSTM", False, False)
    net = net_of(tmp_path, feeds["x"].shape, layer, {"r": weights}, {"cont": (T, N)})
    assert not net.graph.free_batch
    begin = [np.zeros((N, D)) for _ in states]
    for steps in (1, 3, T, 1):
        x, cont = feeds["x"][:steps], np.ones((steps, N), np.float32)
        want = slow("LSTM", x, cont, None, weights, begin)[0]
        assert_blob_close(net.run({"x": x, "cont": cont})["y"], want, "y")


def test_lstm_unit(tmp_path):
    c, gates, cont = random(1, N, D), random(1, N, 4 * D), np.float32([[0, 1, 0.5]])
    net = net_of(
        tmp_path, c.shape,
        'layer { name: "u" type: "LSTMUnit" bottom: "x" bottom: "gates" bottom: "cont" top: "c" top: "h" }',
        None, {"gates": gates.shape, "cont": cont.shape},
    )  # fmt: skip
    blobs = net.run({"x": c, "gates": gates, "cont": cont})
    want = slow_unit(c, gates, cont[:, :, None])
    assert_blob_close(blobs["c"], want[0], "c")
    assert_blob_close(blobs["h"], want[1], "h")


@pytest.mark.parametrize(
    ("kind", "bottoms", "settings", "tops", "message"),
    [
        ("LSTM", "x cont", "", 1, "num_output must be at least 1"),
        ("LSTM", "x cont", "num_output: 5", 2, "2 bottoms and 2 tops; with no expose_hidden it takes 2 or 3 bottoms and 1 top"),
        ("LSTM", "x cont h", "num_output: 5 expose_hidden: true", 3, "3 bottoms and 3 tops; with expose_hidden and 2 states"),
        ("RNN", "x cont h", "num_output: 5 expose_hidden: true", 1, "it takes 3 or 4 bottoms and 2 tops"),
        ("RNN", "cont cont", "num_output: 5", 1, r"takes \(T, N, ...\) with three axes or more, x is \(4, 3\)"),
        ("LSTM", "x h", "num_output: 5", 1, r"cont must be \(T, N\), here \(4, 3\); it is \(1, 3, 5\)"),
        ("LSTM", "x cont x", "num_output: 5", 1, r"the static x must be \(N, ...\) with N 3"),
        ("RNN", "x cont h", "num_output: 6 expose_hidden: true", 2, r"must be \(1, 3, 6\), not \(1, 3, 5\)"),
        ("LSTMUnit", "x x cont", "", 2, r"takes a state \(1, N, D\), the first bottom is \(4, 3, 6\)"),
        ("LSTMUnit", "h h cont", "", 2, r"takes gates \(1, 3, 20\), not \(1, 3, 5\)"),
        ("LSTMUnit", "h gates cont", "", 2, r"takes cont \(1, 3\), not \(4, 3\)"),
    ],
)  # fmt: skip
def test_refused(tmp_path, kind, bottoms, settings, tops, message):
    read = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    write = " ".join(f'top: "t{i}"' for i in range(tops))
    layer = f'layer {{ name: "r" type: "{kind}" {read} {write} recurrent_param {{ {settings} }} }}'
    more = {"cont": (T, N), "h": (1, N, D), "gates": (1, N, 4 * D)}
    with pytest.raises(ls.errors.ReadError, match=message) as caught:
        net_of(tmp_path, (T, N, 6), layer, None, more)
    assert str(caught.value).startswith("net.prototxt:5:")


def test_too_many_steps(tmp_path):
    layer = 'layer { name: "r" type: "RNN" bottom: "x" bottom: "c" top: "y" recurrent_param { num_output: 1 } }'
    with pytest.raises(ls.errors.LimitError, match="2,001 steps; the limit is 2,000"):
        net_of(tmp_path, (2001, 1, 1), layer, None, {"c": (2001, 1)})
