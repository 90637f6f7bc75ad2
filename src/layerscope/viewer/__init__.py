"""The live viewer: a net in the browser, with an image or a camera before it.

`view` is its face in Python; the modules of the page are in `static/`, and those that it shares
with the report in `show/page/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerscope.net import Net
    from layerscope.viewer.server import Viewer


def view(
    net: Net,
    images: Any = None,
    *,
    labels: Sequence[str] | None = None,
    port: int | None = None,
    browser: bool = True,
) -> Viewer:
    """Show a net in the browser; the program goes on meanwhile.

    Args:
        net: with weights, or one whose missing weights may be filled (`net.filled()`).
        images: what to put before it: an image as for `net.run`, a list of them, or a mapping of
            name to image; those of the demo when left out.
        labels: names of the classes.
        port: where to listen on 127.0.0.1; 0 for any; when left out 8710, or the next free one.
        browser: whether to open the page.

    Returns:
        Viewer: with `url` and `close()`; it also ends with the program.

    Raises:
        UsageError: the net has no weights, or an image does not fit.
        SystemFaultError: the port is taken.
    """
    from layerscope.viewer.gallery import given_images
    from layerscope.viewer.server import Viewer
    from layerscope.viewer.session import Session

    session = Session(net, given_images(images), labels or ())
    return Viewer(session, port=port, browser=browser).start()
