"""Layers that choose, cut, reshape and sum up: against slow loops and matrices by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_layers import net_of

import layerscope as ls
from batches import assert_follows

RANDOM = np.random.default_rng(37)
DIMS = (2, 3, 4, 5)


def layer_of(kind: str, settings: str = "", tops: int = 1, bottoms: str = "x") -> str:
    names = "y" if tops == 1 else "abcdefg"[:tops]
    blobs = "".join(f' bottom: "{each}"' for each in bottoms)
    blobs += "".join(f' top: "{each}"' for each in names)
    inner = f"{kind.lower()}_param {{ {settings} }}" if settings else ""
    return f'layer {{ name: "l" type: "{kind}"{blobs} {inner} }}'


def refusal(tmp_path, dims, layers, more=None):
    """What is said about layer "l", after its place."""
    with pytest.raises(ls.errors.ReadError) as caught:
        net_of(tmp_path, dims, layers, None, more)
    place, _, said = str(caught.value).partition(': layer "l": ')
    assert place.startswith("net.prototxt:")
    return said


# --- ArgMax ---


def largest(row, top):
    """(value, index) pairs sorted downward, as std::greater does."""
    return sorted(((float(v), i) for i, v in enumerate(row)), reverse=True)[:top]


def few_values(dims):
    """Numbers with many ties."""
    return RANDOM.integers(-2, 3, dims)


@pytest.mark.parametrize("out_max_val", [False, True])
@pytest.mark.parametrize("top", [1, 3])
@pytest.mark.parametrize("dims", [(2, 7), (2, 3, 4), (2, 3, 4, 5), (3, 2, 1, 4, 2)])
def test_argmax_of_an_image(tmp_path, dims, top, out_max_val):
    settings = f"top_k: {top} out_max_val: {str(out_max_val).lower()}"

    def rule(x):
        y = np.zeros((len(x), 2 if out_max_val else 1, top, *(1,) * (x.ndim - 3)))
        for n, image in enumerate(x):
            for k, (value, index) in enumerate(largest(image.ravel(), top)):
                y[n, 0, k] = index
                if out_max_val:
                    y[n, 1, k] = value
        return y

    net = net_of(tmp_path, dims, layer_of("ArgMax", settings))
    assert_follows(net, rule)
    assert_follows(net, rule, draw=few_values)
    assert net.graph.free_batch
    assert net.layers[-1].summary == f"the {'3 ' if top == 3 else ''}largest of an image"


@pytest.mark.parametrize("out_max_val", [False, True])
@pytest.mark.parametrize(("axis", "top"), [(0, 2), (1, 3), (2, 1), (-1, 4)])
def test_argmax_along_an_axis(tmp_path, axis, top, out_max_val):
    settings = f"axis: {axis} top_k: {top} out_max_val: {str(out_max_val).lower()}"

    def rule(x):
        moved = np.moveaxis(x, axis, -1)
        y = np.zeros((*moved.shape[:-1], top))
        for at in np.ndindex(y.shape[:-1]):
            for k, (value, index) in enumerate(largest(moved[at], top)):
                y[(*at, k)] = value if out_max_val else index
        return np.moveaxis(y, -1, axis)

    net = net_of(tmp_path, DIMS, layer_of("ArgMax", settings))
    assert_follows(net, rule)
    assert_follows(net, rule, draw=few_values)
    assert net.graph.free_batch == (axis != 0)


def test_argmax_of_equal_values_gives_the_last(tmp_path):
    net = net_of(tmp_path, (1, 5), layer_of("ArgMax", "top_k: 4"))
    y = net.run(np.float32([[7, 1, 7, 7, 1]]))["y"]
    assert y.tolist() == [[[3, 2, 0, 4]]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("top_k: 0", "top_k 0 of 60 values"),
        ("top_k: 61", "top_k 61 of 60 values"),
        ("axis: 2 top_k: 5", "top_k 5 of 4 values"),
        ("axis: 4", "axis 4 of a bottom of shape (2, 3, 4, 5)"),
        ("axis: -5", "axis -5 of a bottom of shape (2, 3, 4, 5)"),
    ],
)
def test_argmax_refused(tmp_path, settings, message):
    assert refusal(tmp_path, DIMS, layer_of("ArgMax", settings)) == message


# --- BatchReindex, Filter ---


def test_batch_reindex(tmp_path):
    net = net_of(tmp_path, (4, 3, 2), layer_of("BatchReindex", bottoms="xi"), None, {"i": (6,)})
    assert net.blobs["y"].shape == (6, 3, 2)
    for images, indices in ((4, [3, 0, 0, 2, 3, 1]), (5, [4]), (1, [0.9, 0])):
        x = RANDOM.normal(size=(images, 3, 2)).astype(np.float32)
        y = net.run({"x": x, "i": np.float32(indices)})["y"]
        np.testing.assert_array_equal(y, np.stack([x[int(i)] for i in indices]))


@pytest.mark.parametrize("index", [4, -1, -0.5, 1e12, np.nan])
def test_an_index_outside_the_batch_stops_the_run(tmp_path, index):
    """ONNX would count -1 from the end."""
    net = net_of(tmp_path, (4, 2), layer_of("BatchReindex", bottoms="xi"), None, {"i": (2,)})
    with pytest.raises(ls.errors.UnsupportedError, match=r"out of (data )?bounds"):
        net.run({"x": np.zeros((4, 2), np.float32), "i": np.float32([0, index])})


def test_batch_reindex_refused(tmp_path):
    said = refusal(tmp_path, (4, 2), layer_of("BatchReindex", bottoms="xi"), {"i": (2, 1)})
    assert said == "its second bottom, the indices, is (2, 1); it must be (M)"


@pytest.mark.parametrize("selector", [[1, 0, -0.5, 0], [0, 0, 0, 1, 2], [3, 1], [0, 0, 0, 0]])
@pytest.mark.parametrize("axes", [1, 3])
def test_filter(tmp_path, selector, axes):
    """All that is not 0 counts as selected; where nothing is, a blob without images is left."""
    net = net_of(
        tmp_path, (4, 3, 2), layer_of("Filter", tops=2, bottoms="xws"), None,
        {"w": (4, 5), "s": (4, 1, 1)[:axes]},
    )  # fmt: skip
    assert net.blobs["a"].shape == (4, 3, 2) and net.blobs["b"].shape == (4, 5)
    assert net.layers[-1].summary == "up to 4 images"
    n = len(selector)
    x = RANDOM.normal(size=(n, 3, 2)).astype(np.float32)
    w = RANDOM.normal(size=(n, 5)).astype(np.float32)
    s = np.float32(selector).reshape((n, 1, 1)[:axes])
    blobs = net.run({"x": x, "w": w, "s": s})
    kept = [i for i, each in enumerate(selector) if each != 0]
    np.testing.assert_array_equal(blobs["a"], x[kept])
    np.testing.assert_array_equal(blobs["b"], w[kept])


@pytest.mark.parametrize("selector", [[1, 0, 1], [0, 0, 0]])
def test_layers_behind_a_filter_work_on_what_is_left(tmp_path, selector):
    layers = (
        layer_of("Filter", bottoms="xs") + 'layer { name: "r" type: "Reshape" bottom: "y" top: "r"'
        " reshape_param { shape { dim: 0 dim: -1 } } }"
        'layer { name: "f" type: "InnerProduct" bottom: "r" top: "f"'
        " inner_product_param { num_output: 2 bias_term: false } }"
    )
    w = RANDOM.normal(size=(2, 20)).astype(np.float32)
    net = net_of(tmp_path, (3, 4, 5), layers, {"f": [w]}, {"s": (3,)})
    assert net.blobs["f"].shape == (3, 2)
    (note,) = net.notes
    assert note.startswith('layer "l": how many images it passes on depends on their numbers')
    x = RANDOM.normal(size=(3, 4, 5)).astype(np.float32)
    got = net.run({"x": x, "s": np.float32(selector)})["f"]
    want = x.reshape(3, 20)[np.asarray(selector) == 1] @ w.T
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("tops", "dims", "message"),
    [
        (2, (4,), "2 tops for 2 bottoms; there must be one for each bottom but the selector"),
        (1, (4, 2), "its last bottom, the selector, is (4, 2); it must be (N, 1 ...)"),
        (1, (3,), "a bottom (4, 5) and the selector (3,) must have as many images"),
    ],
)
def test_filter_refused(tmp_path, tops, dims, message):
    layer = layer_of("Filter", tops=tops, bottoms="xs")
    assert refusal(tmp_path, (4, 5), layer, {"s": dims}) == message


# --- Reduction ---


@pytest.mark.parametrize("coeff", [1, -0.5])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_reduction(tmp_path, operation, axis, coeff):
    first = axis % 4

    def rule(x):
        y = np.zeros(x.shape[:first])
        for at in np.ndindex(y.shape):
            for v in x[at].ravel().astype(np.float64):
                y[at] += {"ASUM": abs(v), "SUMSQ": v * v}.get(operation, v)
            y[at] *= coeff / (x[at].size if operation == "MEAN" else 1)
        return y

    settings = f"operation: {operation} axis: {axis} coeff: {coeff}"
    net = net_of(tmp_path, DIMS, layer_of("Reduction", settings))
    assert_follows(net, rule)
    assert net.graph.free_batch
    words = {"SUM": "sum", "ASUM": "sum of absolute values", "SUMSQ": "sum of squares"}
    assert net.layers[-1].summary == (
        f"{words.get(operation, 'mean')} from axis {first}{', times -0.5' if coeff < 0 else ''}"
    )


def test_reduction_takes_everything_unless_an_axis_is_given(tmp_path):
    net = net_of(tmp_path, (2, 3), layer_of("Reduction"))
    assert net.blobs["y"].shape == ()
    assert net.run(np.float32([[1, 2, 3], [4, 5, 6]]))["y"] == 21


def test_reduction_refused(tmp_path):
    said = refusal(tmp_path, (2, 3), layer_of("Reduction", "axis: 2"))
    assert said == "axis 2 of a bottom of shape (2, 3)"


# --- Reshape ---


def new_shape(*dims: int) -> str:
    return f"shape {{ {' '.join(f'dim: {d}' for d in dims)} }}"


@pytest.mark.parametrize(
    ("settings", "want", "free"),
    [
        (new_shape(0, -1), (2, 60), True),
        (new_shape(0, 0, -1), (2, 3, 20), True),
        (new_shape(0, 5, 4, 3), (2, 5, 4, 3), True),
        (new_shape(-1), (120,), False),
        (new_shape(-1, 0), (40, 3), False),
        (new_shape(6, 20), (6, 20), False),
        (new_shape(2, 60), (2, 60), False),
        (new_shape(12) + " axis: 1 num_axes: 2", (2, 12, 5), True),
        (new_shape(-1) + " axis: 1 num_axes: 2", (2, 12, 5), True),
        (new_shape(-1) + " axis: 2", (2, 3, 20), True),
        (new_shape(-1) + " axis: -3", (2, 3, 20), True),
        (new_shape(2, 2) + " axis: 2 num_axes: 1", (2, 3, 2, 2, 5), True),
        (new_shape(1) + " axis: 2 num_axes: 0", (2, 3, 1, 4, 5), True),
        (new_shape(1, 1) + " axis: -1", (2, 3, 4, 5, 1, 1), True),
        (new_shape(1) + " num_axes: 0", (1, 2, 3, 4, 5), False),
        (new_shape(0, -1) + " axis: 0 num_axes: 2", (2, 3, 4, 5), True),
        (new_shape(-1) + " axis: 0 num_axes: 2", (6, 4, 5), False),
        ("axis: 4 num_axes: 0", (2, 3, 4, 5), True),
        ("num_axes: 0", (2, 3, 4, 5), True),
    ],
)
def test_reshape(tmp_path, settings, want, free):
    net = net_of(tmp_path, DIMS, layer_of("Reshape", settings))
    x = RANDOM.normal(size=DIMS).astype(np.float32)
    np.testing.assert_array_equal(net.run(x)["y"], x.reshape(want))
    assert net.blobs["y"].shape == want
    assert net.graph.free_batch == free
    assert net.layers[-1].summary == f"(2, 3, 4, 5) to {want}"
    if free:
        x = RANDOM.normal(size=(7, *DIMS[1:])).astype(np.float32)
        np.testing.assert_array_equal(net.run(x)["y"], x.reshape(7, *want[1:]))


def test_a_zero_keeps_the_axis_at_its_own_place(tmp_path):
    """Place i of `shape` is axis `axis` + i of the bottom, also behind the replaced axes."""
    net = net_of(tmp_path, DIMS, layer_of("Reshape", new_shape(15, 0) + " axis: 1"))
    assert net.blobs["y"].shape == (2, 15, 4)
    said = refusal(tmp_path, DIMS, layer_of("Reshape", new_shape(-1, 0) + " axis: 3"))
    assert said == "shape (-1, 0) keeps axis 4, which a bottom (2, 3, 4, 5) has not"
    settings = new_shape(1, 0) + " axis: 1 num_axes: 1"  # the 0 is axis 2, which stays as well
    net = net_of(tmp_path, (2, 4, 4, 5), layer_of("Reshape", settings))
    assert net.blobs["y"].shape == (2, 1, 4, 4, 5)


def test_a_fixed_first_axis_is_held_against_another_batch(tmp_path):
    net = net_of(tmp_path, DIMS, layer_of("Reshape", new_shape(6, -1)))
    x = RANDOM.normal(size=(4, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(net.run(x)["y"], x.reshape(6, 40))
    net = net_of(tmp_path, DIMS, layer_of("Reshape", new_shape(8, -1)))
    with pytest.raises(ls.errors.ReadError, match=r"has 60 numbers, which shape \(8, -1\)"):
        net.run(x[:1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (new_shape(-1, -1),
         "shape (-1, -1); numbers are positive, 0 (keep), or once -1 (what is left)"),
        (new_shape(0, -2),
         "shape (0, -2); numbers are positive, 0 (keep), or once -1 (what is left)"),
        (new_shape(0, 7),
         "a bottom (2, 3, 4, 5) has 120 numbers, which shape (0, 7) from axis 0 cannot hold"),
        (new_shape(0, -1, 0, 4),
         "a bottom (2, 3, 4, 5) has 120 numbers, which shape (0, -1, 0, 4) from axis 0 cannot hold"),
        (new_shape(7, -1),
         "a bottom (2, 3, 4, 5) has 120 numbers, which shape (7, -1) from axis 0 cannot hold"),
        (new_shape(-1) + " axis: 5", "axis 5 of a bottom of shape (2, 3, 4, 5)"),
        (new_shape(-1) + " axis: -6", "axis -6 of a bottom of shape (2, 3, 4, 5)"),
        (new_shape(-1) + " axis: 2 num_axes: 3", "num_axes 3 from axis 2 of (2, 3, 4, 5)"),
        (new_shape(-1) + " num_axes: -2", "num_axes -2 from axis 0 of (2, 3, 4, 5)"),
    ],
)  # fmt: skip
def test_reshape_refused(tmp_path, settings, message):
    assert refusal(tmp_path, DIMS, layer_of("Reshape", settings)) == message


def test_reshape_does_not_work_in_place(tmp_path):
    layer = layer_of("Reshape", new_shape(0, -1)).replace('top: "y"', 'top: "x"')
    said = refusal(tmp_path, DIMS, layer)
    assert said == 'Reshape cannot work in place; give its top another name than "x"'


# --- Slice, Tile ---


@pytest.mark.parametrize(
    ("settings", "axis", "sizes"),
    [
        ("", 1, (2, 2, 2)),
        ("slice_point: 1 slice_point: 2", 1, (1, 1, 4)),
        ("axis: 2 slice_point: 2 slice_point: 3", 2, (2, 1, 1)),
        ("axis: -1 slice_point: 1 slice_point: 4", 3, (1, 3, 1)),
        ("slice_dim: 0", 0, (1, 1, 1)),
        ("slice_dim: 2 slice_point: 1 slice_point: 2", 2, (1, 1, 2)),
        ("slice_point: 5 slice_point: 6", 1, (5, 1, 0)),  # Caffe lets the last part be empty
    ],
)
def test_slice(tmp_path, settings, axis, sizes):
    net = net_of(tmp_path, (3, 6, 4, 5), layer_of("Slice", settings, tops=3))
    ends = list(itertools.accumulate(sizes))

    def rule(x):
        grown = len(x) // 3 if axis == 0 else 1  # an even cut of a larger batch
        return {
            name: x.take(range((end - size) * grown, end * grown), axis)
            for name, size, end in zip("abc", sizes, ends, strict=True)
        }

    assert_follows(net, rule)
    assert net.graph.free_batch == (axis != 0)
    assert net.layers[-1].summary == f"{', '.join(map(str, sizes))} along axis {axis}"


def test_the_last_part_of_a_cut_batch_is_what_is_left(tmp_path):
    net = net_of(tmp_path, (3, 2), layer_of("Slice", "axis: 0 slice_point: 2", tops=2))
    x = RANDOM.normal(size=(6, 2)).astype(np.float32)
    blobs = net.run(x)
    np.testing.assert_array_equal(blobs["a"], x[:2])
    np.testing.assert_array_equal(blobs["b"], x[2:])
    with pytest.raises(ls.errors.ReadError, match="2 tops of an axis of size 1"):
        net.run(x[:1])


def test_slice_with_one_top_passes_on(tmp_path):
    assert_follows(net_of(tmp_path, DIMS, layer_of("Slice")), lambda x: x)


@pytest.mark.parametrize(
    ("settings", "tops", "message"),
    [
        ("axis: 1 slice_dim: 1", 3, "axis and slice_dim are both given; use axis"),
        ("", 2, "3 cannot be cut into 2 tops evenly; give slice_point"),
        ("slice_point: 1", 3, "1 slice_point for 3 tops; there must be one fewer than tops"),
        ("slice_point: 2 slice_point: 1", 3, "slice_point 2, 1 must grow from 1 to at most 3"),
        ("slice_point: 0 slice_point: 1", 3, "slice_point 0, 1 must grow from 1 to at most 3"),
        ("slice_point: 1 slice_point: 1", 3, "slice_point 1, 1 must grow from 1 to at most 3"),
        ("slice_point: 1 slice_point: 4", 3, "slice_point 1, 4 must grow from 1 to at most 3"),
        ("axis: 0 slice_point: 1 slice_point: 2", 3, "3 tops of an axis of size 2"),
        ("slice_dim: 4", 3, "slice_dim 4 of a bottom of shape (2, 3, 4, 5)"),
    ],
)
def test_slice_refused(tmp_path, settings, tops, message):
    assert refusal(tmp_path, DIMS, layer_of("Slice", settings, tops=tops)) == message


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("tiles", [1, 3])
def test_tile(tmp_path, axis, tiles):
    first = axis % 4
    net = net_of(tmp_path, DIMS, layer_of("Tile", f"axis: {axis} tiles: {tiles}"))

    def rule(x):
        y = np.zeros([d * (tiles if i == first else 1) for i, d in enumerate(x.shape)])
        for at in np.ndindex(y.shape):
            y[at] = x[tuple(k % d for k, d in zip(at, x.shape, strict=True))]
        return y

    assert_follows(net, rule)
    assert net.graph.free_batch
    times = "1 time" if tiles == 1 else "3 times"
    assert net.layers[-1].summary == f"{times} along axis {first}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", "tiles is missing"),
        ("axis: 2", "tiles is missing"),
        ("tiles: 0", "tiles 0 must be at least 1"),
        ("tiles: -2", "tiles -2 must be at least 1"),
        ("tiles: 2 axis: 4", "axis 4 of a bottom of shape (2, 3, 4, 5)"),
    ],
)
def test_tile_refused(tmp_path, settings, message):
    assert refusal(tmp_path, DIMS, layer_of("Tile", settings)) == message


# --- Silence, Parameter, Python ---


def test_silence_of_several_blobs(tmp_path):
    layers = layer_of("Slice", tops=3) + (
        'layer { name: "q" type: "Silence" bottom: "a" bottom: "c" }'
    )
    net = net_of(tmp_path, DIMS, layers)
    assert net.outputs == ("b",)
    assert (net.layers[-1].tops, len(net.layers[-1].nodes)) == ((), 0)
    with pytest.raises(ls.errors.ReadError, match="Silence takes 0 tops, 1 are given"):
        net_of(tmp_path, DIMS, layer_of("Silence"))


PARAMETER = (
    'layer { name: "p" type: "Parameter" top: "p"'
    " parameter_param { shape { dim: 3 dim: 4 } } }"
    'layer { name: "l" type: "Bias" bottom: "x" bottom: "p" top: "y" }'
)


def test_parameter(tmp_path):
    array = RANDOM.normal(size=(3, 4)).astype(np.float32)
    net = net_of(tmp_path, DIMS, PARAMETER, {"p": [array]})
    assert (net.blobs["p"].shape, net.layer("p").summary) == ((3, 4), "learned (3, 4)")
    assert_follows(net, lambda x: {"p": array, "y": x + array[None, :, :, None]})
    np.testing.assert_array_equal(net.params["p"][0].data, array)


def test_parameter_without_weights(tmp_path):
    net = net_of(tmp_path, DIMS, PARAMETER)
    assert net.missing == ("p",)
    x = RANDOM.normal(size=DIMS).astype(np.float32)
    with pytest.raises(ls.errors.UsageError, match="have no weights"):
        net.run(x)
    blobs = net.run(x, allow_missing=True)
    np.testing.assert_array_equal(blobs["y"], x + blobs["p"][None, :, :, None])


def test_a_parameter_is_held_against_another_batch(tmp_path):
    """It does not grow with the batch; ONNX would spread one image over its rows."""
    layers = PARAMETER.replace("dim: 3 dim: 4", "dim: 2 dim: 3").replace("Bias", "Eltwise")
    net = net_of(tmp_path, (2, 3), layers, {"p": [np.ones((2, 3), np.float32)]})
    with pytest.raises(ls.errors.ReadError, match="they must be alike"):
        net.run(np.zeros((1, 3), np.float32))


def test_parameter_refused(tmp_path):
    layer = PARAMETER.replace('"p"', '"l"', 1).replace("dim: 3", "dim: 0")
    assert refusal(tmp_path, DIMS, layer) == "shape (0, 4); every number must be at least 1"


def test_python_is_known_but_not_run(tmp_path):
    layer = (
        'layer { name: "l" type: "Python" bottom: "x" top: "y"\n'
        ' python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" } }'
    )
    with pytest.raises(ls.errors.UnsupportedError) as caught:
        net_of(tmp_path, DIMS, layer).run({})
    assert str(caught.value).startswith("net.prototxt:3:")
    assert str(caught.value).endswith(
        ': layer "l": module "rpn.proposal_layer", layer "ProposalLayer" is Python'
        " code, which is not run; take the layer out, or put layers in its place that do the same"
    )


@pytest.mark.parametrize("enum", ["ARGMAX", "SLICE", "MVN"])
def test_older_names(tmp_path, enum):
    path = tmp_path / "old.prototxt"
    path.write_text(
        'input: "x" input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4\n'
        f'layers {{ name: "l" type: {enum} bottom: "x" top: "y" }}\n'
        'layers { name: "q" type: SILENCE bottom: "y" }'
    )
    net = ls.open(path)
    assert net.layer("l").type.upper() == enum
    assert (net.layer("q").type, net.outputs) == ("Silence", ())
