"""Nets before which images are put, the images, and what the page is told of a net."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import layerscope as ls
from coroutines import result
from layerscope.demo import DEFINITION, WEIGHTS, images
from layerscope.errors import LayerscopeError, LimitError, ReadError, UsageError
from layerscope.viewer import gallery
from layerscope.viewer.facts import diagram_json, facts, items
from layerscope.viewer.gallery import demo_images, given_images, image_files, uploaded
from layerscope.viewer.session import Session
from layerscope.viewer.worker import Worker

ODD = """
name: "odd"
layer {{ name: "a" type: "Input" top: "a" input_param {{ shape {{ dim: 4 dim: {a} dim: 6 dim: 7 }} }} }}
layer {{ name: "b" type: "Input" top: "b" input_param {{ shape {{ dim: 4 dim: {b} dim: 6 dim: 7 }} }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" eltwise_param {{ operation: SUM }} }}
"""


@pytest.fixture(scope="module")
def demo() -> Session:
    return Session(ls.open(DEFINITION, WEIGHTS), demo_images(), ["x"])


def test_every_choice_of_blobs_is_that_of_a_run(demo: Session) -> None:
    net = ls.open(DEFINITION, WEIGHTS)
    fed = demo.feed(images()["rocket"])
    wanted = net.run(images()["rocket"])
    for names in (["prob"], ["conv1@conv1", "fc6", "data"], list(net.blobs)):
        found = demo.run(fed, names)
        assert list(found) == names
        for name in names:
            np.testing.assert_array_equal(found[name], wanted[name])


def test_the_page_is_told_of_every_blob_and_param(demo: Session) -> None:
    net, told = demo.net, facts(demo)
    listed = [w for item in told["items"] for w in item["writes"]]
    names = [w["blob"] for w in listed] + [name for w in listed for name in w["also"]]
    assert sorted(names) == sorted(net.blobs)
    params = [p for item in told["items"] for layer in item["layers"] for p in layer["params"]]
    assert len(params) == sum(len(each) for each in net.params.values())
    conv1 = next(item for item in told["items"] if item["title"] == "conv1")
    assert [w["blob"] for w in conv1["writes"]] == ["conv1@conv1", "conv1"]
    assert [layer["type"] for layer in conv1["layers"]] == ["Convolution", "ReLU"]
    assert conv1["shape"] == "48x55x55" and told["size"] == [227, 227] and not told["gray"]


def test_the_diagram_leads_to_the_items(demo: Session) -> None:
    drawing = diagram_json(demo.net)
    links = {int(part["link"]) for part in drawing["parts"] if part.get("link")}
    assert links == {item["id"] for item in items(demo.net)}


@pytest.mark.parametrize(
    ("a", "b", "main", "size"), [(3, 3, "a", (6, 7)), (5, 5, "a", None), (1, 1, "a", (6, 7))]
)
def test_nets_of_several_inputs(tmp_path: Path, a: int, b: int, main: str, size: object) -> None:
    path = tmp_path / "odd.prototxt"
    path.write_text(ODD.format(a=a, b=b))
    session = Session(ls.open(path), demo_images())
    assert (session.main_input, session.image_size) == (main, size)
    fed = session.feed(session.noise())
    assert fed["b"].array.shape == (1, b, 6, 7) and not fed["b"].array.any()
    assert "1 other input fed with zeros" in fed["a"].statement
    found = session.run(fed, ["sum"])
    np.testing.assert_array_equal(found["sum"], session.noise())
    if size:
        assert session.feed(images()["cat"])["a"].picture is not None


def test_a_net_without_weights_is_refused() -> None:
    with pytest.raises(UsageError, match="have no weights"):
        Session(ls.open(DEFINITION), demo_images())


def test_uploads_are_kept_small_and_the_oldest_goes(
    demo: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MOST_UPLOADS", 3)
    pixels = np.random.default_rng(0).integers(0, 255, (1000, 800, 3), np.uint8)
    added = [demo.accept(pixels) for _ in range(5)]
    assert (
        added[0].source.shape == (227, 227, 3)
        and "800x1000, stretched to 227x227" in added[0].statement
    )
    np.testing.assert_array_equal(
        demo.feed(added[4].source)["data"].array, demo.feed(pixels)["data"].array
    )
    listed = demo.gallery.as_json()
    assert len(listed["images"]) == 4 + 3 and listed["forgotten"] == 2
    with pytest.raises(UsageError, match="not here any more"):
        demo.gallery.get(added[0].key)


def test_uploads_are_told_by_their_content(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    Image.new("RGB", (9, 5), (1, 2, 3)).save(path, "PNG")
    assert uploaded(path.read_bytes()).size == (9, 5)
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    assert uploaded((tmp_path / "x.npy").read_bytes()).shape == (2, 3)
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    for content in (
        (tmp_path / "o.npy").read_bytes(),
        b"",
        b"\x93NUMPY",
        b"<svg/>",
        path.read_bytes()[:30],
    ):
        with pytest.raises(ReadError):
            uploaded(content)
    Image.new("1", (9000, 9000)).save(path, "PNG")
    with pytest.raises(LimitError):
        uploaded(path.read_bytes())


def test_galleries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "cab":
        (tmp_path / f"{name}.JPG").write_bytes(b"")
    monkeypatch.setattr(gallery, "MOST_FILES", 2)
    found = image_files([str(tmp_path)]).as_json()
    assert [each["title"] for each in found["images"]] == ["a.JPG", "b.JPG"] and found[
        "left_out"
    ] == 1
    with pytest.raises(UsageError, match="no such image"):
        image_files([str(tmp_path / "none.png")])
    with pytest.raises(UsageError, match="no images in this folder"):
        (tmp_path / "empty").mkdir()
        image_files([str(tmp_path / "empty")])
    named = given_images({"one\x1b[31m": np.zeros((4, 4), np.uint8), "two": "x.png"}).as_json()[
        "images"
    ]
    assert [each["title"] for each in named] == ["one\\x1b[31m", "two"]
    assert len(given_images(np.zeros((4, 4), np.uint8))) == 1 and len(given_images([1, 2])) == 2


def test_the_worker_goes_on_after_a_fault_and_skips_who_left() -> None:
    done: list[int] = []

    async def play() -> None:
        worker, gate = Worker(), threading.Event()
        first = asyncio.create_task(worker.do(gate.wait))
        left = asyncio.create_task(worker.do(lambda: done.append(1)))
        await asyncio.sleep(0.05)
        left.cancel()
        failing = asyncio.create_task(worker.do(lambda: 1 // 0))
        await asyncio.sleep(0.05)
        gate.set()
        assert await first
        with pytest.raises(ZeroDivisionError):
            await failing
        assert await worker.do(lambda: threading.current_thread().daemon)
        worker.stop()

    result(play())
    assert done == []


def test_view_from_a_program() -> None:
    import urllib.request

    net = ls.open(DEFINITION, WEIGHTS)
    with ls.view(net, images()["cat"], port=0, browser=False) as viewer:
        assert viewer.url.startswith("http://127.0.0.1:") and "#token=" in viewer.url
        with urllib.request.urlopen(viewer.url, timeout=10) as page:
            assert page.status == 200
        port = viewer.port
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
    with pytest.raises(LayerscopeError):
        ls.view(ls.open(DEFINITION), port=0, browser=False)


def test_other_inputs_are_fed_as_given(tmp_path: Path) -> None:
    path = tmp_path / "odd.prototxt"
    path.write_text(ODD.format(a=3, b=3))
    given = np.random.default_rng(1).normal(size=(1, 3, 6, 7)).astype(np.float32)
    session = Session(ls.open(path), demo_images(), (), {"a": given})
    assert session.main_input == "b"
    fed = session.feed(session.noise())
    np.testing.assert_array_equal(session.run(fed, ["sum"])["sum"], given + session.noise())
    with pytest.raises(UsageError, match='input "c" is not in net'):
        Session(ls.open(path), demo_images(), (), {"c": given})


PARTLY = """
name: "partly"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "double" type: "Power" bottom: "data" top: "double" power_param { scale: 2 } }
layer { name: "ours" type: "Python" bottom: "double" top: "ours" }
layer { name: "after" type: "ReLU" bottom: "ours" top: "ours" }
"""


def test_a_net_that_can_be_computed_in_part(tmp_path: Path) -> None:
    """What is not computed is listed with its reason; the rest runs."""
    path = tmp_path / "partly.prototxt"
    path.write_text(PARTLY)
    session = Session(ls.open(path), demo_images())
    listed = {item["title"]: item for item in items(session.net)}
    assert [*listed] == ["data", "double", "ours", "after"]
    assert "Python" in listed["ours"]["reason"] and listed["after"]["reason"]
    assert not listed["ours"]["writes"] and not listed["double"]["reason"]
    blobs = session.blobs(session.feed(images()["cat"]))
    np.testing.assert_array_equal(blobs["double"], 2 * blobs["data"])
    assert diagram_json(session.net)["parts"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerscope.errors import SystemFaultError
    from layerscope.viewer import server

    monkeypatch.setattr(server._Server, "run", lambda self, sockets: None)
    with pytest.raises(SystemFaultError, match="did not start"):
        ls.view(ls.open(DEFINITION, WEIGHTS), port=0, browser=False)
