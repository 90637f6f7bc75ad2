"""Why a number is what it is: the arithmetic of one unit, for any layer of any net.

`registry.py` says what a rule is; the rules stand by family in `products`, `windows`,
`elementwise`, `moves`, `norms`, `quantization`, `reductions` and `resampling`, one for each op.
"""

from __future__ import annotations

from layerscope.measure.explain.derivation import Derivation, Explainer, explain
from layerscope.measure.explain.step import Operand, Step, Window
from layerscope.units import Unit, parse_unit

__all__ = [
    "Derivation", "Explainer", "Operand", "Step", "Unit", "Window", "explain", "parse_unit",
]  # fmt: skip
