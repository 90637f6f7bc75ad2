from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from oracle import fill, foreign, own, plain, plain_foreign, trees

import layerscope
from layerscope.errors import LayerscopeError, LimitError, ReadError
from layerscope.readers.caffe.message import MAX_FIELDS, Message
from layerscope.readers.caffe.schema import message_type
from layerscope.readers.caffe.weights import Weights, blob_shape, blob_values
from layerscope.readers.caffe.wire import decode, float_array
from layerscope.readers.caffe.write import blob_message, to_bytes

GOLDEN = Path(__file__).parents[2] / "golden"
KINDS = ("NetParameter", "BlobProto", "SolverParameter", "V1LayerParameter", "LayerParameter")


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def part(number: int, content: bytes) -> bytes:
    """A field with a length before it."""
    return tag(number, 2) + varint(len(content)) + content


def read(raw: bytes, kind: str = "NetParameter") -> Message:
    return decode(memoryview(raw), "a.caffemodel", kind)


def notes(message: Message) -> list[str]:
    assert message.origin is not None
    return message.origin.all_notes()


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


# --- against google.protobuf ---


@pytest.mark.parametrize("kind", KINDS)
def test_reads_what_protobuf_writes(kind: str) -> None:
    @settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @given(trees(kind))
    def check(tree: dict[str, Any]) -> None:
        theirs = fill(foreign(kind), tree)
        ours = read(theirs.SerializeToString(), kind)
        assert plain(ours) == plain_foreign(theirs)
        assert notes(ours) == []

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_protobuf_reads_what_we_write(kind: str) -> None:
    @settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @given(trees(kind))
    def check(tree: dict[str, Any]) -> None:
        ours = own(kind, tree)
        theirs = foreign(kind)
        theirs.ParseFromString(to_bytes(ours))
        assert plain_foreign(theirs) == plain(ours)
        assert plain(read(to_bytes(ours), kind)) == plain(ours)

    check()


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("BlobProto", part(5, floats(1, 2)) + part(5, floats(3))),
        ("BlobProto", tag(5, 5) + floats(1) + tag(5, 5) + floats(2)),
        ("BlobProto", part(5, floats(1)) + tag(5, 5) + floats(2) + part(5, b"")),
        ("BlobProto", (tag(5, 5) + floats(1)) * 3 + tag(1, 0) + b"\x07" + tag(5, 5) + floats(4)),
        ("BlobProto", (tag(5, 5) + floats(1) + tag(6, 5) + floats(2)) * 40),
        ("BlobProto", (tag(5, 5) + floats(1)) * 100 + tag(6, 5) + floats(2)),
        ("BlobProto", part(8, struct.pack("<2d", 0.1, 1e300)) + tag(8, 1) + struct.pack("<d", 2)),
        ("BlobProto", tag(1, 0) + varint(2**64 - 1) + tag(2, 0) + b"\x03"),
        ("BlobProto", tag(1, 0) + b"\x01" + tag(1, 0) + b"\x02"),
        ("BlobProto", part(7, part(1, b"\x02\x03")) + part(7, part(1, b"\x04"))),
        ("BlobProto", part(7, tag(1, 0) + b"\x02" + part(1, b"\x03\x04") + tag(1, 0) + b"\x05")),
        ("NetParameter", part(6, tag(2, 0) + b"\x05") + part(6, tag(1, 0) + b"\x00")),
        ("NetParameter", part(6, part(3, b"a")) + part(6, part(3, b"b") + part(3, b""))),
        ("NetParameter", tag(4, 0) + varint(2**64 - 5) + part(4, varint(2**64 - 6) + b"\x07")),
        ("NetParameter", tag(5, 0) + varint(256) + tag(4, 0) + varint(2**32 + 9)),
        ("NetParameter", tag(4, 0) + b"\xff" * 9 + b"\x01" + tag(4, 0) + b"\x80" * 9 + b"\x00"),
        ("NetParameter", tag(4, 0) + b"\x81\x80\x00"),
        ("LayerParameter", tag(5, 5) + floats(2) + part(5, floats(3)) + part(11, b"\x00\x01")),
        ("Datum", part(4, b"\x00\xff") + tag(7, 0) + b"\x01"),
        ("SolverParameter", tag(20, 0) + varint(2**64 - 1) + tag(5, 5) + floats(0.01)),
        ("NetParameter", b""),
    ],
)
def test_forms_that_protobuf_reads_too(kind: str, raw: bytes) -> None:
    theirs = foreign(kind)
    theirs.ParseFromString(raw)
    ours = read(raw, kind)
    assert plain(ours) == plain_foreign(theirs)
    assert notes(ours) == []


@pytest.mark.parametrize(
    ("kind", "raw", "note"),
    [
        ("NetParameter", tag(1, 0) + b"\x05", "@0: unknown field number 1 of NetParameter"),
        ("NetParameter", tag(5, 5) + b"abcd", "@0: unknown field number 5 of NetParameter"),
        ("NetParameter", part(5, b"\x01"), "@0: unknown field number 5 of NetParameter"),
        ("BlobProto", tag(5, 0) + b"\x01", "@0: unknown field number 5 of BlobProto"),
        ("BlobProto", tag(5, 1) + b"abcdefgh", "@0: unknown field number 5 of BlobProto"),
        ("BlobProto", tag(8, 5) + b"abcd", "@0: unknown field number 8 of BlobProto"),
        ("NetParameter", tag(900, 0) + b"\x01", "@0: unknown field number 900 of NetParameter"),
        ("NetParameter", part(901, b"xyz"), "@0: unknown field number 901 of NetParameter"),
        (
            "NetParameter",
            b"\x3d" + b"abcd" + tag(77, 3) + tag(1, 0) + b"\x05" + tag(77, 4),
            "@5: unknown field number 77 of NetParameter",
        ),
        (
            "NetParameter",
            tag(77, 3)
            + tag(78, 3)
            + part(1, b"a")
            + tag(78, 4)
            + tag(2, 1)
            + bytes(8)
            + tag(77, 4),
            "@0: unknown field number 77 of NetParameter",
        ),
    ],
)
def test_unknown_fields_and_other_wire_types_are_stepped_over_and_noted(
    kind: str, raw: bytes, note: str
) -> None:
    raw += tag(1, 0) + b"\x03" if kind == "BlobProto" else part(1, b"name")
    theirs = foreign(kind)
    theirs.ParseFromString(raw)
    ours = read(raw, kind)
    assert plain(ours) == plain_foreign(theirs) != {}
    assert f"a.caffemodel {note} kept, ignored (1 time)" in notes(ours)


def test_each_kind_of_unknown_field_is_noted_once() -> None:
    found = notes(read((tag(900, 0) + b"\x01") * 5 + part(901, b"") * 2))
    assert found == [
        "a.caffemodel @0: unknown field number 900 of NetParameter kept, ignored (5 times)",
        "a.caffemodel @15: unknown field number 901 of NetParameter kept, ignored (2 times)",
    ]


def test_a_value_that_is_not_of_its_enum_is_noted() -> None:
    net = read(part(6, tag(1, 0) + b"\x07"))
    assert net.state.phase == "7"
    assert notes(net) == [
        'a.caffemodel @2: phase: "7" (not of Phase: TRAIN, TEST) kept, ignored (1 time)'
    ]


def test_names_that_are_not_utf8_are_read_with_a_note() -> None:
    assert read(part(1, "中文".encode("gbk"))).name == "中文"
    net = read(part(1, b"\xff\xfe\xff") + part(3, b"\xff"))
    assert net.name == "ÿþÿ"
    assert notes(net) == [
        'a.caffemodel @2: text "ÿþÿ" is not UTF-8, read as latin-1',
        'a.caffemodel @7: text "ÿ" is not UTF-8, read as latin-1',
    ]


# --- damage ---


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            tag(4, 0) + b"\x80" * 10 + b"\x01",
            "@1: a number of more than 10 bytes: the file is damaged",
        ),
        (tag(4, 0) + b"\x80", "@1: the file ends early, at byte 2: cut off or damaged"),
        (part(1, b"abc")[:-1], "@1: 3 bytes are announced, 2 are there: cut off or damaged"),
        (part(6, tag(2, 0)), "@3: the file ends early, at byte 3: cut off or damaged"),
        (
            part(6, tag(2, 0)) + part(1, b"a"),
            "@3: the message ends early, at byte 3: cut off or damaged",
        ),
        (
            part(6, b"\x1a\x09a") + part(1, b"a"),
            "@3: 9 bytes are announced, 1 are there: cut off or damaged",
        ),
        (tag(900, 1) + b"1234567", "@0: the file ends early, at byte 9: cut off or damaged"),
        (tag(900, 5) + b"123", "@0: the file ends early, at byte 5: cut off or damaged"),
        (b"\x00", "@0: field number 0: the file is damaged"),
        (b"\x82\x80\x80\x80\x10", "@0: field number 536870912: the file is damaged"),
        (tag(9, 6), "@0: wire type 6 of field 9: damaged"),
        (tag(9, 7), "@0: wire type 7 of field 9: damaged"),
        (tag(9, 4), "@0: wire type 4 of field 9: damaged"),
        (tag(9, 3) + tag(8, 4), "@1: wire type 4 of field 8: damaged"),
        (tag(9, 3), "@1: the file ends early, at byte 1: cut off or damaged"),
    ],
)
def test_damage_has_its_offset(raw: bytes, message: str) -> None:
    with pytest.raises(DecodeError):  # protobuf agrees that it is damage
        foreign("NetParameter").ParseFromString(raw)
    with pytest.raises(ReadError) as caught:
        read(raw)
    assert str(caught.value) == f"a.caffemodel {message}"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (part(5, b"12345"), "@2: data: 5 bytes are no whole number of floats"),
        (part(9, b"1234"), "@2: double_diff: 4 bytes are no whole number of doubles"),
        (tag(5, 5) + b"123", "@0: the file ends early, at byte 4: cut off or damaged"),
    ],
)
def test_damaged_floats_have_their_offset(raw: bytes, message: str) -> None:
    with pytest.raises(ReadError) as caught:
        read(raw, "BlobProto")
    assert str(caught.value) == f"a.caffemodel {message}"


def test_nesting_is_limited_to_64() -> None:
    def nested(depth: int) -> bytes:
        return b"".join(tag(9, 3) for _ in range(depth)) + tag(9, 4) * depth

    assert notes(read(nested(64)))
    with pytest.raises(LimitError, match=r"^a\.caffemodel @65: nested deeper than 64$"):
        read(nested(65))


@pytest.mark.parametrize("unit", [part(100, b""), tag(4, 0) + b"\x01", tag(9, 0) + b"\x01"])
def test_the_number_of_fields_is_limited(unit: bytes) -> None:
    read(unit * MAX_FIELDS)
    words = r"^a\.caffemodel @\d+: more than 200,000 fields; no real net has so many$"
    with pytest.raises(LimitError, match=words):
        read(unit * (MAX_FIELDS + 1))


# --- arrays ---


def test_weights_are_views_on_the_file() -> None:
    values = np.arange(6, dtype="<f4")
    raw = bytearray(to_bytes(blob_message(values.reshape(2, 3))))  # writable, unlike a mapped file
    data = read(raw, "BlobProto").data  # type: ignore[arg-type]
    assert np.shares_memory(data, np.frombuffer(raw, np.uint8))
    assert not data.flags.writeable
    np.testing.assert_array_equal(data, values)
    assert blob_values(read(raw, "BlobProto"), "blob").base is not None  # type: ignore[arg-type]


def test_float_views_need_no_alignment() -> None:
    for shift in range(4):
        raw = part(900, bytes(shift)) + part(5, floats(1.5, -2))
        assert read(raw, "BlobProto").data.tolist() == [1.5, -2]


def test_a_run_of_floats_that_is_split_is_one_array() -> None:
    raw = part(5, floats(1, 2)) + tag(2, 0) + b"\x01" + part(5, floats(3)) + tag(5, 5) + floats(4)
    assert float_array(read(raw, "BlobProto").data).tolist() == [1, 2, 3, 4]


def test_long_runs_of_unpacked_floats() -> None:
    values = np.random.default_rng(1).standard_normal(4_000_000, np.float32)
    rows = np.zeros(len(values), [("tag", "u1"), ("value", "<f4")])
    rows["tag"], rows["value"] = tag(5, 5)[0], values
    raw = rows.tobytes() + tag(1, 0) + b"\x07"
    blob = read(raw, "BlobProto")
    np.testing.assert_array_equal(float_array(blob.data), values)
    assert blob.num == 7


# --- cut and changed files ---


def second_opinion(raw: bytes) -> list[tuple[bytes, list[tuple[int, str]]]]:
    """Layer names, and size and checksum of each blob: another way to read a caffemodel."""

    def number(data: bytes, at: int) -> tuple[int, int]:
        value = shift = 0
        while data[at] > 127:
            value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
        return value | data[at] << shift, at + 1

    def walk(data: bytes) -> Iterator[tuple[int, int, bytes]]:
        at = 0
        while at < len(data):
            key, at = number(data, at)
            size = {1: 8, 5: 4}.get(key & 7, 0)
            if key & 7 == 2:
                size, at = number(data, at)
            elif key & 7 == 0:
                size = number(data, at)[1] - at
            elif key & 7 not in (1, 5):
                raise ValueError("a group")
            if at + size > len(data):
                raise ValueError("cut off")
            yield key >> 3, key & 7, data[at : at + size]
            at += size

    found = []
    for wanted, name_number, blob_number in ((100, 1, 7), (2, 4, 6)):
        for _, _, layer in [e for e in walk(raw) if e[:2] == (wanted, 2)]:
            fields = list(walk(layer))
            name = b"".join([v for n, w, v in fields if (n, w) == (name_number, 2)][-1:])
            blobs = [v for n, w, v in fields if (n, w) == (blob_number, 2)]
            numbers = [b"".join(v for n, w, v in walk(b) if n == 5 and w in (2, 5)) for b in blobs]
            found.append((name, [(len(n), hashlib.sha256(n).hexdigest()) for n in numbers]))
    return found


def our_opinion(net: Message) -> list[tuple[bytes, list[tuple[int, str]]]]:
    found = []
    for layer in [*net.layer, *net.layers]:
        blobs = []
        for blob in layer.blobs:
            raw = float_array(blob.data).astype("<f4").tobytes()
            blobs.append((len(raw), hashlib.sha256(raw).hexdigest()))
        found.append((layer.name.encode(), blobs))
    return found


def judge(raw: bytes) -> bool:
    """Whether a changed file is accepted; if so it must be read alike twice, or have a note."""
    try:
        net = read(raw)
        weights = Weights(net, "a.caffemodel")
        for layer in [*net.layer, *net.layers]:
            for blob in layer.blobs:
                blob_shape(blob, "blob")
                blob_values(blob, "blob")
    except LayerscopeError as error:
        assert str(error).isprintable()
        assert len(str(error)) <= 300
        return False
    if not (notes(net) or weights.notes):
        assert our_opinion(net) == second_opinion(raw)
    return True


def small_caffemodel() -> bytes:
    """Two current layers and a V1 layer in some 300 bytes."""
    random_values = np.random.default_rng(7)
    layers = []
    for name, dims in (("conv", (2, 3, 2, 2)), ("fc", (3, 4))):
        layer = Message(message_type("LayerParameter"))
        layer.set("name", name)
        layer.set("type", "Convolution")
        weights, bias = (random_values.standard_normal(d).astype("<f4") for d in (dims, dims[:1]))
        layer.set("blobs", [blob_message(weights), blob_message(bias)])
        layers.append(layer)
    net = Message(message_type("NetParameter"))
    net.set("name", "small")
    net.set("layer", layers)
    legacy = tag(1, 0) + b"\x01" + tag(2, 0) + b"\x01" + tag(3, 0) + b"\x01" + tag(4, 0) + b"\x02"
    old = part(4, b"old") + tag(5, 0) + b"\x0e" + part(6, legacy + part(5, floats(5, 6)))
    return to_bytes(net) + part(2, old)


def test_a_caffemodel_that_is_cut_anywhere_is_refused_or_whole_to_there() -> None:
    raw = small_caffemodel()
    whole = our_opinion(read(raw))
    accepted = []
    for end in range(len(raw)):
        try:
            net = read(raw[:end])
        except ReadError as error:
            assert " @" in str(error)
            continue
        kept = our_opinion(net)
        assert [e for e in whole if e in kept] == kept
        accepted.append(end)
    assert len(accepted) == 4  # between the top-level fields, and nowhere else


def test_no_change_of_one_byte_gets_past_both_readers() -> None:
    raw = small_caffemodel()
    assert judge(raw)
    changes = {0, 1, 2, 0x7F, 0x80, 0xFF}
    accepted = total = 0
    for at, old in enumerate(raw):
        for new in sorted(changes | {old ^ 1 << bit for bit in range(8)} - {old}):
            accepted += judge(raw[:at] + bytes([new]) + raw[at + 1 :])
            total += 1
    assert total > 3500
    assert 0.3 < accepted / total < 0.99


def mutant(raw: bytes, chance: random.Random) -> bytes:
    """One to four random changes of any sort."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        size = chance.choice((1, 1, 2, 4, 16))
        kind = chance.randrange(6)
        if kind == 0:
            data[at : at + size] = chance.randbytes(size)
        elif kind == 1:
            data[at:at] = chance.choice((b"\xff" * 10, b"\x80" * 11, chance.randbytes(size)))
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            other = chance.randrange(len(data) + 1)
            data[at:at] = data[other : other + 8 * size]
        elif kind == 4 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif at:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("case", ["net_mini_caffenet", "net_v1_layers", "conv_group"])
def test_random_changes_of_real_caffemodels(case: str) -> None:
    raw = (GOLDEN / case / "net.caffemodel").read_bytes()
    assert judge(raw)
    assert our_opinion(read(raw)) == second_opinion(raw)
    chance = random.Random(case)
    accepted = sum(judge(mutant(raw, chance)) for _ in range(2000))
    assert 20 < accepted < 1980


def test_changed_caffemodels_open_or_fail_with_our_errors(tmp_path: Path) -> None:
    folder = GOLDEN / "conv_group"
    raw = (folder / "net.caffemodel").read_bytes()
    chance = random.Random(3)
    path = tmp_path / "a.caffemodel"
    opened = 0
    for _ in range(200):
        path.write_bytes(mutant(raw, chance))
        try:
            layerscope.open(folder / "net.prototxt", path)
            opened += 1
        except LayerscopeError as error:
            assert str(error).isprintable()
    assert 5 < opened < 195


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("*/net.caffemodel")), ids=lambda p: p.parent.name
)
def test_real_caffemodels_are_read_as_protobuf_reads_them(path: Path) -> None:
    raw = path.read_bytes()
    theirs = foreign("NetParameter")
    theirs.ParseFromString(raw)
    ours = read(raw)
    assert plain(ours) == plain_foreign(theirs)
    theirs.ParseFromString(to_bytes(ours))
    assert plain(ours) == plain_foreign(theirs)
