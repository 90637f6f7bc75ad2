"""Widgets without a notebook: what a kernel would give them, and what a notebook would say."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest


class Comm:
    """The line of one widget to its notebook: keeps what the widget says."""

    def __init__(self, data: Any = None, **_: Any) -> None:
        self.comm_id = f"line {id(self)}"
        self.state = data["state"]
        self.sent: deque[tuple[dict[str, Any], list[Any]]] = deque()
        self.closed = False

    def on_msg(self, heard: Any) -> None:
        self._heard = heard

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if self.closed:
            return
        if data["method"] == "custom":
            self.sent.append((data["content"], list(buffers or [])))
        else:
            self.state.update(data.get("state", {}))

    def close(self, **_: Any) -> None:
        self.closed = True

    def say(self, content: Any, *buffers: bytes) -> None:
        """What the notebook says."""
        data = {"method": "custom", "content": content}
        self._hear(data, [memoryview(each) for each in buffers])

    def change(self, name: str, value: Any) -> None:
        """The notebook's `save_changes`."""
        self._hear({"method": "update", "state": {name: value}, "buffer_paths": []}, [])

    def _hear(self, data: Any, buffers: list[Any]) -> None:
        if not self.closed:
            self._heard({"content": {"data": data}, "buffers": buffers})


@pytest.fixture
def comms(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Comm]]:
    """The lines of the widgets that a test makes, one each."""
    pytest.importorskip("anywidget")
    import comm
    from ipywidgets import Widget

    made: list[Comm] = []

    def create(**how: Any) -> Comm:
        line = Comm(**how)
        if line.state["_model_module"] == "anywidget":  # and not what it consists of
            made.append(line)
        return line

    monkeypatch.setattr(comm, "create_comm", create)
    before = {id(each) for each in all_widgets(Widget)}
    yield made
    for each in all_widgets(Widget):
        if id(each) not in before:
            each.close()


def all_widgets(kind: Any) -> list[Any]:
    """The widgets that are not closed."""
    import ipywidgets.widgets.widget as module

    return list(getattr(module, "_instances", {}).values())
