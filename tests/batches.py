"""A net against a rule, at the batch size of its file and at another."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

import layerscope as ls
from closeness import assert_blob_close

Arrays = Mapping[str, np.ndarray]


def assert_follows(
    net: ls.Net,
    rule: Callable[..., np.ndarray | Arrays],
    draw: Callable[[tuple[int, ...]], np.ndarray] | None = None,
    more: int = 3,
) -> None:
    """Feed numbers and compare blob "y", or those that the rule names, with `rule(inputs ...)`.

    `draw` makes an input of a shape; `more` says by how many images the second batch is larger.
    The shapes that the net states are held against the first batch.
    """
    random = np.random.default_rng(23)
    draw = draw or (lambda dims: random.normal(size=dims))
    for extra in (0, more):
        feeds = {}
        for name in net.inputs:
            first, *rest = net.blobs[name].shape
            feeds[name] = draw((first + extra, *rest)).astype(np.float32)
        found = rule(**feeds)
        blobs = net.run(feeds)
        for name, want in (found if isinstance(found, Mapping) else {"y": found}).items():
            assert_blob_close(blobs[name], want, f"{name}, {extra} more images")
            if not extra:
                assert net.blobs[name].shape == want.shape
