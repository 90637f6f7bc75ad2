from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from oracle import own

from layerscope.errors import ReadError
from layerscope.readers.caffe.weights import Weights, blob_values
from layerscope.readers.caffe.wire import decode
from layerscope.readers.caffe.write import to_bytes

SIX = [1, 2, 3, 4, 5, 6]


def weights(*layers: tuple[str, list[dict[str, Any]]], old: bool = False) -> Weights:
    """A caffemodel with these layers, written and read back."""
    field = "layers" if old else "layer"
    tree = {field: [{"name": name, "blobs": blobs} for name, blobs in layers]}
    raw = to_bytes(own("NetParameter", tree))
    return Weights(decode(memoryview(raw), "a.caffemodel"), "a.caffemodel")


def blob(*dims: int, **fields: Any) -> dict[str, Any]:
    return {"shape": {"dim": list(dims)}, **fields}


def legacy(num: int, channels: int, height: int, width: int, **fields: Any) -> dict[str, Any]:
    return {"num": num, "channels": channels, "height": height, "width": width, **fields}


def refusal(found: Weights, wanted: tuple[int, ...]) -> str:
    with pytest.raises(ReadError) as caught:
        found.array("a", 0, wanted)
    return str(caught.value)


@pytest.mark.parametrize("old", [False, True])
def test_blobs_are_found_by_name_and_index(old: bool) -> None:
    found = weights(("b", [blob(1, data=[9])]), ("a", [blob(2, 3, data=SIX), blob(2, data=[7, 8])]),
                    ("c", []), old=old)  # fmt: skip
    assert list(found) == ["b", "a"]
    assert [found.count(name) for name in "abcd"] == [2, 1, 0, 0]
    assert "a" in found
    assert "c" not in found
    np.testing.assert_array_equal(found.array("a", 0, (2, 3)), [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(found.array("a", 1, (2,)), [7, 8])
    assert found.notes == []


def test_arrays_are_views_that_cannot_be_written() -> None:
    array = weights(("a", [blob(2, 3, data=SIX)])).array("a", 0, (2, 3))
    assert array.dtype == np.float32
    assert not array.flags.owndata
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("dims", "wanted"),
    [
        ((1, 1, 2, 3), (2, 3)),
        ((1, 1, 1, 6), (6,)),
        ((6, 1, 1, 1), (6, 1, 1, 1)),
        ((1, 2, 1, 3), (2, 1, 3)),
        ((1, 1, 1, 6), (1, 6)),
    ],
)
def test_ones_in_front_of_a_legacy_shape_do_not_count(
    dims: tuple[int, int, int, int], wanted: tuple[int, ...]
) -> None:
    found = weights(("a", [legacy(*dims, data=SIX)]))
    np.testing.assert_array_equal(found.array("a", 0, wanted), np.reshape(SIX, wanted))
    assert found.notes == []


def test_a_legacy_shape_wins_over_the_other() -> None:
    found = weights(("a", [legacy(1, 1, 2, 3, shape={"dim": [5]}, data=SIX)]))
    assert found.array("a", 0, (2, 3)).shape == (2, 3)


@pytest.mark.parametrize("wanted", [(6,), (3, 2), (6, 1, 1, 1)])
def test_another_shape_of_the_same_size_is_read_with_a_note(wanted: tuple[int, ...]) -> None:
    found = weights(("a", [blob(2, 3, data=SIX)]))
    np.testing.assert_array_equal(found.array("a", 0, wanted), np.reshape(SIX, wanted))
    assert found.notes == [
        f'layer "a": blob 0 is (2, 3) in a.caffemodel, read as {wanted} (the same 6 numbers)'
    ]


def test_another_size_is_refused_with_both_shapes() -> None:
    assert refusal(weights(("a", [blob(2, 3, data=SIX)])), (2, 4)) == (
        'layer "a": the definition says (2, 4), a.caffemodel has (2, 3)'
    )


@pytest.mark.parametrize(
    ("dims", "needs"), [((2, 4), "8 numbers"), ((2, 0), "0 numbers"), ((), "1 number")]
)
def test_a_shape_that_its_numbers_do_not_fill_is_refused(dims: tuple[int, ...], needs: str) -> None:
    assert refusal(weights(("a", [blob(*dims, data=SIX)])), (2, 3)) == (
        f'a.caffemodel: layer "a", blob 0: its shape {dims} needs {needs}, 6 are there'
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (blob(-2, -3, data=SIX), "(-2, -3)"),
        (blob(2**62, 2**62, data=SIX), f"({2**62}, {2**62})"),
        (blob(2**31, data=SIX), f"({2**31},)"),
        (blob(*[1] * 33, data=SIX), "(1, 1, 1, 1, 1, 1, 1, 1) and 25 more"),
        (legacy(1, 1, -2, 3, data=SIX), "(1, 1, -2, 3)"),
    ],
)
def test_impossible_shapes_are_refused(given: dict[str, Any], shown: str) -> None:
    assert refusal(weights(("a", [given])), (2, 3)) == (
        f'a.caffemodel: layer "a", blob 0: the shape {shown} is damaged: no blob is so'
    )


def test_doubles_win() -> None:
    found = weights(("a", [blob(2, double_data=[0.1, 1e300], data=[7, 8])]))
    array = found.array("a", 0, (2,))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.float32([0.1, np.inf]))


def test_doubles_that_are_announced_but_empty_do_not_win() -> None:
    empty = b"\x42\x00"  # double_data, packed, no bytes
    raw = empty + b"\x2a\x04" + struct.pack("<f", 7)
    assert blob_values(decode(memoryview(raw), "a", "BlobProto"), "a").tolist() == [7]


def test_gradients_beside_the_numbers_do_not_matter() -> None:
    found = weights(("a", [blob(2, data=[1, 2], diff=[3, 4], double_diff=[5.0, 6.0])]))
    assert found.array("a", 0, (2,)).tolist() == [1, 2]


@pytest.mark.parametrize("field", ["diff", "double_diff"])
def test_numbers_in_the_gradient_alone_are_refused(field: str) -> None:
    """C3D's blobs have their weights where Caffe has the gradients."""
    assert refusal(weights(("a", [blob(6, **{field: SIX})])), (6,)) == (
        "a.caffemodel: layer \"a\", blob 0: no numbers under 'data', but others beside it: written"
        " by a fork of Caffe with another layout?"
    )


def test_numbers_in_a_field_of_a_fork_are_refused() -> None:
    raw = b"\x72\x04" + struct.pack("<2e", 1, 2)  # field 14, which no known fork has
    with pytest.raises(ReadError, match="another layout"):
        blob_values(decode(memoryview(raw), "a", "BlobProto"), "a")


def test_a_blob_without_numbers_is_refused() -> None:
    assert refusal(weights(("a", [blob(6)])), (6,)) == (
        'a.caffemodel: layer "a", blob 0: its shape (6,) needs 6 numbers, 0 are there'
    )


def test_the_last_of_two_layers_with_one_name_counts() -> None:
    found = weights(("a", [blob(1, data=[1])]), ("b", [blob(1, data=[5])]),
                    ("a", [blob(1, data=[2])]), ("a", [blob(1, data=[3])]))  # fmt: skip
    assert found.array("a", 0, (1,)).tolist() == [3]
    assert found.notes == [
        'a.caffemodel: more than one layer is named "a"; the last one\'s weights are used, as Caffe'
        " does"
    ]


def test_many_names_that_are_used_twice_are_counted() -> None:
    layers = [(f"l{i}", [blob(1, data=[1])]) for i in range(30)]
    found = weights(*layers, *layers)
    assert len(found.notes) == 21
    assert found.notes[-1] == "a.caffemodel: 10 more names are used twice"


def test_a_name_twice_but_weights_once_needs_no_note() -> None:
    found = weights(("a", [blob(1, data=[1])]), ("a", []))
    assert found.array("a", 0, (1,)).tolist() == [1]
    assert found.notes == []


def test_packed_floats_of_a_broken_length_are_refused_with_the_offset() -> None:
    blob_bytes = b"\x2a\x05" + b"12345"
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob_bytes)]) + blob_bytes
    raw = b"\xa2\x06" + bytes([len(layer)]) + layer
    with pytest.raises(ReadError) as caught:
        decode(memoryview(raw), "a.caffemodel")
    assert str(caught.value) == (
        'a.caffemodel @10: layer "a": data: 5 bytes are no whole number of floats'
    )


def test_a_file_without_layers_is_refused() -> None:
    with pytest.raises(ReadError) as caught:
        weights()
    assert str(caught.value) == "a.caffemodel: no layers in it; is it a caffemodel?"


def test_weights_of_the_first_form_are_found() -> None:
    inner = {"layer": {"name": "a", "blobs": [blob(2, data=[1, 2])]}}
    raw = to_bytes(own("NetParameter", {"layers": [inner]}))
    found = Weights(decode(memoryview(raw), "a.caffemodel"), "a.caffemodel")
    assert found.array("a", 0, (2,)).tolist() == [1, 2]
