"""Attribution: how much each place of an image counts for a unit of a net.

registry.py   what a method is            run.py         `layerscope.attribute`
subject.py    one unit of one image       result.py      `Attribution`
baseline.py   what "nothing there" is     placement.py   where a layer's map lies on the image
layers.py     which layer is looked at
gradients.py, rectifiers.py, cam.py, contribution.py, perturbation.py   the methods
"""

from __future__ import annotations

from layerscope.measure.attribution.registry import methods
from layerscope.measure.attribution.result import Attribution
from layerscope.measure.attribution.run import attribute, attributions

__all__ = ["Attribution", "attribute", "attributions", "methods"]
