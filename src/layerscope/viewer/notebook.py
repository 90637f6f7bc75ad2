"""The live viewer in a cell of a notebook: an anywidget that hands messages to its `Pages`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from layerscope.errors import SystemFaultError, UsageError
from layerscope.net import Net
from layerscope.text import quoted
from layerscope.viewer.bundle import cell, page
from layerscope.viewer.gallery import given_images
from layerscope.viewer.pages import Pages
from layerscope.viewer.session import Session

LEAST, MOST = 200, 4000  # pixels


def widget(
    net: Net, images: Any = None, *, labels: Sequence[str] | None = None, height: int = 720
) -> Any:
    """A widget of a net; see `Net.widget`."""
    if type(height) is not int or not LEAST <= height <= MOST:
        raise UsageError(f"height {height!r:.40}: a cell is {LEAST} to {MOST} pixels high")
    make = widget_class()
    return make(Session(net, given_images(images), labels or ()), height)


@cache
def widget_class() -> Any:
    """The class, made when it is wanted first: anywidget is an extra.

    Raises:
        SystemFaultError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise SystemFaultError(
            'a widget needs the package anywidget: pip install "layerscope[notebook]"'
        ) from None

    class Widget(anywidget.AnyWidget):  # type: ignore[misc]  # an extra: its types are not read
        """The live viewer of a net.

        Attributes:
            place: what it shows, in the words that a link of the viewer has behind its #.
            height: in pixels.
        """

        _esm = cell()
        page = traitlets.Unicode(read_only=True).tag(sync=True)
        place = traitlets.Unicode("").tag(sync=True)
        height = traitlets.Int().tag(sync=True)

        def __init__(self, session: Session, height: int) -> None:
            self._name = session.net.name
            self._pages = Pages(session, self.send)
            self.set_trait("page", page())
            super().__init__(height=height)
            self.on_msg(lambda _, content, buffers: self._pages.hear(content, buffers))

        def close(self) -> None:
            """End its views and free what it has of the net."""
            self._pages.close()
            super().close()

        def __repr__(self) -> str:
            state = " (closed)" if self._pages.closed else ""
            return f"<widget of net {quoted(self._name)}{state}>"

    return Widget
