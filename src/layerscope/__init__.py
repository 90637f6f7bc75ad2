"""layerscope: an oscilloscope for convolutional nets.

import layerscope as ls
net = ls.open("deploy.prototxt", "weights.caffemodel")
blobs = net.run("cat.jpg")                # every blob of one run
ls.grid(blobs["conv1"][0])                # a picture; shows itself in a notebook
ls.report(net, "cat.jpg", "cat.html")     # every layer on one page
ls.dream(net, "conv3:7")                  # the image that a unit wants to see
ls.diagram(net).save("net.svg")           # the architecture
"""

from __future__ import annotations

from layerscope import errors
from layerscope.blobs import Blobs
from layerscope.comparison import Comparison, compare
from layerscope.conversion import convert
from layerscope.dreams import Dream, Dreams, dream
from layerscope.errors import LayerscopeError
from layerscope.inputs import Preprocessing
from layerscope.measure.attribution import Attribution, attribute
from layerscope.net import Blob, Layer, Net, Param
from layerscope.pictures import (
    Diagram,
    Filters,
    Grid,
    Picture,
    Plot,
    filters,
    grid,
    histogram,
    plot,
    probabilities,
    vector,
)
from layerscope.readers import open_net as open  # the name that people look for
from layerscope.show.architecture import net_diagram as diagram
from layerscope.show.explanation import Explanation, explain
from layerscope.show.report import report
from layerscope.viewer import view

__version__ = "0.1.0"
__all__ = [
    "Attribution",
    "Blob",
    "Blobs",
    "Comparison",
    "Diagram",
    "Dream",
    "Dreams",
    "Explanation",
    "Filters",
    "Grid",
    "Layer",
    "LayerscopeError",
    "Net",
    "Param",
    "Picture",
    "Plot",
    "Preprocessing",
    "__version__",
    "attribute",
    "compare",
    "convert",
    "diagram",
    "dream",
    "errors",
    "explain",
    "filters",
    "grid",
    "histogram",
    "open",
    "plot",
    "probabilities",
    "report",
    "vector",
    "view",
]
