"""Arrays in, pictures out: nothing here knows what a net is.

Importing this package is cheap: Pillow and matplotlib are loaded by the first picture that
needs them.
"""

from __future__ import annotations

from layerscope.pictures.diagram import Diagram
from layerscope.pictures.filters import Filters, filters
from layerscope.pictures.grid import Grid, grid
from layerscope.pictures.image import Picture
from layerscope.pictures.plot import Plot, histogram, plot, probabilities, vector

__all__ = [
    "Diagram",
    "Filters",
    "Grid",
    "Picture",
    "Plot",
    "filters",
    "grid",
    "histogram",
    "plot",
    "probabilities",
    "vector",
]
