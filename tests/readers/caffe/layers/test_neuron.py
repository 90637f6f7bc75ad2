"""Layers of one value: each against a scalar rule written from Caffe's files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_layers import net_of

import layerscope as ls
from batches import assert_follows
from closeness import assert_blob_close

RANDOM = np.random.default_rng(29)
DIMS = (2, 3, 4, 5)


def layer_of(kind: str, settings: str = "", bottoms: str = 'bottom: "x"') -> str:
    field = {"PReLU": "prelu", "ELU": "elu"}.get(kind, kind.lower())
    inner = f"{field}_param {{ {settings} }}" if settings else ""
    return f'layer {{ name: "l" type: "{kind}" {bottoms} top: "y" {inner} }}'


def slow(rule):
    """A rule of one number, for whole arrays."""
    return lambda x: np.vectorize(rule, otypes=[np.float64])(x.astype(np.float64))


@pytest.mark.parametrize(
    ("kind", "settings", "rule", "summary"),
    [
        ("AbsVal", "", abs, ""),
        ("BNLL", "", lambda v: math.log(1 + math.exp(v)), ""),
        ("Clip", "min: -0.25 max: 0.5", lambda v: max(-0.25, min(v, 0.5)), "to -0.25 .. 0.5"),
        ("ELU", "", lambda v: v if v > 0 else math.exp(v) - 1, "alpha 1"),
        ("ELU", "alpha: 0", lambda v: max(v, 0), "alpha 0"),
        ("ELU", "alpha: -2", lambda v: max(v, 0) - 2 * (math.exp(min(v, 0)) - 1), "alpha -2"),
        ("Exp", "base: 2 scale: 0.5 shift: -1", lambda v: 2 ** (0.5 * v - 1),
         "2 to the power of (0.5 x - 1)"),
        ("Exp", "scale: -2", lambda v: math.exp(-2 * v), "e to the power of -2 x"),
        ("Exp", "base: 0.5", lambda v: 0.5**v, "0.5 to the power of x"),
        ("Exp", "shift: 1.5", lambda v: math.exp(v + 1.5), "e to the power of (x + 1.5)"),
        ("Log", "base: 10 scale: 0.2 shift: 4", lambda v: math.log10(0.2 * v + 4),
         "logarithm to base 10 of (0.2 x + 4)"),
        ("Log", "base: 0.5 shift: 9", lambda v: math.log(v + 9, 0.5),
         "logarithm to base 0.5 of (x + 9)"),
        ("Power", "power: -0.5 scale: 0.1 shift: 2", lambda v: (0.1 * v + 2) ** -0.5,
         "(0.1 x + 2) to the power of -0.5"),
        ("Power", "power: 3", lambda v: v**3, "x to the power of 3"),
        ("Power", "scale: -3 shift: 0.5", lambda v: 0.5 - 3 * v, "(-3 x + 0.5)"),
        ("Power", "", lambda v: v, "x"),
        ("Sigmoid", "", lambda v: 1 / (1 + math.exp(-v)), ""),
        ("Swish", "beta: 1.7", lambda v: v / (1 + math.exp(-1.7 * v)), "beta 1.7"),
        ("Swish", "beta: 0", lambda v: v / 2, "beta 0"),
        ("TanH", "", math.tanh, ""),
        ("Threshold", "", lambda v: float(v > 0), "above 0"),
        ("Threshold", "threshold: -0.5", lambda v: float(v > -0.5), "above -0.5"),
    ],
)  # fmt: skip
def test_one_value(tmp_path, kind, settings, rule, summary):
    net = net_of(tmp_path, DIMS, layer_of(kind, settings))
    assert_follows(net, slow(rule))
    assert net.layers[-1].summary == summary
    assert net.layers[-1].family == "neuron"
    assert net.graph.free_batch


def test_any_number_of_axes(tmp_path):
    for dims in ((3,), (2, 3), (2, 3, 4, 5, 1)):
        assert_follows(net_of(tmp_path, dims, layer_of("TanH")), slow(math.tanh))
        net = net_of(tmp_path, dims, layer_of("Power", "power: 0"))
        assert_follows(net, lambda x: np.ones(x.shape))


def values(net, *numbers):
    """What becomes of some numbers, fed as one image."""
    return net.run(np.float32(numbers).reshape(1, -1))["y"][0].tolist()


def test_a_value_equal_to_the_threshold_is_not_above_it(tmp_path):
    net = net_of(tmp_path, (1, 4), layer_of("Threshold", "threshold: 0.5"))
    assert values(net, 0.5, np.nextafter(np.float32(0.5), np.float32(1)), -0.5, 7) == [0, 1, 0, 1]


def test_clip_with_min_above_max_gives_min(tmp_path):
    net = net_of(tmp_path, (1, 3), layer_of("Clip", "min: 2 max: -1"))
    assert values(net, -5, 0, 5) == [2, 2, 2]


def test_clip_makes_nan_min(tmp_path):
    """std::max(min, NaN) is min, as no comparison with NaN holds."""
    net = net_of(tmp_path, (1, 4), layer_of("Clip", "min: -2 max: 3"))
    assert values(net, np.nan, np.inf, -np.inf, 1) == [-2, 3, -2, 1]


@pytest.mark.parametrize(
    "kind", ["AbsVal", "BNLL", "ELU", "Exp", "Log", "Sigmoid", "Swish", "TanH"]
)
def test_nan_stays(tmp_path, kind):
    net = net_of(tmp_path, (1, 9), layer_of(kind))
    assert np.isnan(values(net, *[np.nan] * 9)).all()


def test_nan_is_above_no_threshold(tmp_path):
    net = net_of(tmp_path, (1, 1), layer_of("Threshold", "threshold: -1"))
    assert values(net, np.nan) == [0]


def test_bnll_of_large_values(tmp_path):
    net = net_of(tmp_path, (1, 3), layer_of("BNLL"))
    assert values(net, 200, -200, 1000) == [200, 0, 1000]


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ("power: 0", 1),
        ("power: 0 scale: 3 shift: 5", 1),
        ("power: 0 scale: 0 shift: 0", 1),
        ("power: 2 scale: 0 shift: 3", 9),
        ("power: 1 scale: 0", 0),
        ("power: -1 scale: 0", np.inf),
        ("power: 0.5 scale: 0 shift: -1", np.nan),
        ("power: 1e-30 scale: 1e-30 shift: 2", 1),  # their product is 0 in a float
    ],
)
def test_power_without_its_input(tmp_path, settings, want):
    """Caffe looks at power * scale first: 0 ** 0 is 1, and NaN goes in without coming out."""
    net = net_of(tmp_path, (2, 3), layer_of("Power", settings))
    x = np.float32([[0, -2, np.nan], [np.inf, 1, 5]])
    for batch in (x, np.concatenate([x, x])):
        np.testing.assert_array_equal(net.run(batch)["y"], np.full(batch.shape, want, np.float32))
    assert net.layers[-1].summary.endswith("everywhere")


def test_power_of_a_negative_number(tmp_path):
    net = net_of(tmp_path, (1, 3), layer_of("Power", "power: 0.5"))
    got = values(net, -4, 4, 0)
    assert math.isnan(got[0]) and got[1:] == [2, 0]


def test_log_outside_its_domain(tmp_path):
    net = net_of(tmp_path, (1, 2), layer_of("Log", "shift: 1"))
    got = values(net, -1, -3)
    assert got[0] == -math.inf and math.isnan(got[1])


@pytest.mark.parametrize("dims", [(2, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 4, 5)])
def test_prelu(tmp_path, dims):
    slopes = np.float32([0.5, -2, 0])
    net = net_of(tmp_path, dims, layer_of("PReLU"), {"l": [slopes]})

    def rule(x):
        y = x.astype(np.float64)
        for at in np.ndindex(x.shape):
            if y[at] < 0:
                y[at] *= slopes[at[1]]
        return y

    assert_follows(net, rule)
    assert net.layers[-1].summary == "a learned slope for each of 3 channels"


@pytest.mark.parametrize("stored", [(), (1,), (1, 1, 1, 1)])
def test_prelu_with_one_slope(tmp_path, stored):
    arrays = {"l": [np.full(stored, -0.5, np.float32)]}
    net = net_of(tmp_path, DIMS, layer_of("PReLU", "channel_shared: true"), arrays)
    assert net.params["l"][0].shape == ()
    assert_follows(net, slow(lambda v: v if v > 0 else -0.5 * v))


def test_prelu_begins_with_a_quarter(tmp_path):
    net = net_of(tmp_path, (1, 2), layer_of("PReLU"))
    assert net.run(np.float32([[-4, 4]]), allow_missing=True)["y"].tolist() == [[-1, 4]]


@pytest.mark.parametrize(
    ("axis", "num_axes", "given"),
    [(1, 1, (3,)), (0, 1, (2,)), (1, 2, (3, 4)), (2, -1, (4, 5)), (0, -1, (2, 3, 4, 5)),
     (-1, 1, (5,)), (1, 0, ()), (-2, -1, (4, 5))],
)  # fmt: skip
def test_bias_axes(tmp_path, axis, num_axes, given):
    b = RANDOM.normal(size=given).astype(np.float32)
    net = net_of(tmp_path, DIMS, layer_of("Bias", f"axis: {axis} num_axes: {num_axes}"), {"l": [b]})
    first = axis % 4 if num_axes else 0

    def rule(x):
        y = x.astype(np.float64)
        for at in np.ndindex(x.shape):
            y[at] += b[at[first : first + len(given)]]
        return y

    assert net.graph.free_batch == (first != 0 or num_axes == 0)
    if net.graph.free_batch:
        assert_follows(net, rule)
    else:  # a number for each image: another batch does not fit the weights
        assert_follows(net, rule, more=0)
        with pytest.raises(ls.errors.ReadError, match="the definition says"):
            net.run(np.zeros((3, 3, 4, 5), np.float32))


@pytest.mark.parametrize(("axis", "given"), [(1, (3, 4)), (0, (2, 3)), (-1, (5,))])
def test_bias_from_a_second_bottom(tmp_path, axis, given):
    both = 'bottom: "x" bottom: "b"'
    net = net_of(tmp_path, DIMS, layer_of("Bias", f"axis: {axis}", both), None, {"b": given})
    assert not net.params
    first = axis % 4
    for more in (0, 3):
        x = RANDOM.normal(size=(2 + more, 3, 4, 5)).astype(np.float32)
        b = RANDOM.normal(size=(given[0] + more * (axis == 0), *given[1:])).astype(np.float32)
        want = np.zeros(x.shape)
        for at in np.ndindex(x.shape):
            want[at] = x[at] + b[at[first : first + len(given)]]
        assert_blob_close(net.run({"x": x, "b": b})["y"], want, "y")


def test_one_number_as_second_bottom_needs_no_axis(tmp_path):
    """Caffe does not look at axis there, so one that the bottom does not have is no error."""
    layers = 'layer { name: "b" type: "Parameter" top: "b" }' + layer_of(
        "Bias", "axis: 7", 'bottom: "x" bottom: "b"'
    )
    net = net_of(tmp_path, DIMS, layers, {"b": [np.full((), 2.5, np.float32)]})
    assert_follows(net, lambda x: x + 2.5)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("Clip", "min: 1", "max is missing; Clip needs min and max"),
        ("Clip", "max: 1", "min is missing; Clip needs min and max"),
        ("Exp", "base: 0", "base 0 must be positive and finite, or -1 for e"),
        ("Exp", "base: -2", "base -2 must be positive and finite, or -1 for e"),
        ("Log", "base: -0.5", "base -0.5 must be positive and finite, or -1 for e"),
        ("Log", "base: inf", "base inf must be positive and finite, or -1 for e"),
        ("Log", "base: nan", "base nan must be positive and finite, or -1 for e"),
        ("Log", "base: 1", "base 1 has no logarithms"),
        ("Bias", "axis: 4", "axis 4 of a bottom of shape (2, 3, 4, 5)"),
        ("Bias", "axis: 2 num_axes: 3", "num_axes 3 from axis 2 of (2, 3, 4, 5)"),
        ("Bias", "num_axes: -2", "num_axes -2 from axis 1 of (2, 3, 4, 5)"),
    ],
)
def test_refused(tmp_path, kind, settings, message):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, DIMS, layer_of(kind, settings))
    place, _, said = str(caught.value).partition(': layer "l": ')
    assert place.startswith("net.prototxt:2:") and said == message


def test_refused_for_its_bottoms(tmp_path):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, (4,), layer_of("PReLU"))
    assert str(caught.value).endswith('layer "l": takes (N, C, ...), the bottom is (4,)')
    with pytest.raises(ls.errors.ReadError) as caught:
        both = 'bottom: "x" bottom: "b"'
        net_of(tmp_path, DIMS, layer_of("Bias", "axis: 2", both), None, {"b": (3, 4)})
    assert str(caught.value).endswith(
        "a bias (3, 4) does not fit a bottom (2, 3, 4, 5) from axis 2"
    )


def test_absval_does_not_work_in_place(tmp_path):
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, DIMS, 'layer { name: "l" type: "AbsVal" bottom: "x" top: "x" }')
    assert str(caught.value).endswith(
        'AbsVal cannot work in place; give its top another name than "x"'
    )


@pytest.mark.parametrize("enum", ["ABSVAL", "BNLL", "EXP", "POWER", "SIGMOID", "TANH", "THRESHOLD"])
def test_older_names(tmp_path, enum):
    path = tmp_path / "old.prototxt"
    path.write_text(
        'input: "x" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4\n'
        f'layers {{ name: "l" type: {enum} bottom: "x" top: "y" }}'
    )
    assert ls.open(path).layers[-1].type.upper() == enum
