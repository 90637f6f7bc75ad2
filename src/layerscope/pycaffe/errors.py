"""The errors of pycaffe's face: ours, and at the same time the types that scripts catch.

pycaffe raises RuntimeError from its C++ side and plain or ValueError from Python; where it would
end the whole process, an exception is raised here.
"""

from __future__ import annotations

from layerscope.errors import UnsupportedError, UsageError


class CaffeError(UsageError, RuntimeError):
    """What pycaffe's C++ side raises as RuntimeError: a file or an array that does not fit."""


class CaffeValueError(UsageError, ValueError):
    """A name that is not there, a shape that does not fit."""


class CaffeFileError(CaffeError, FileNotFoundError):
    """A file that is not there."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class NotYetError(UnsupportedError, NotImplementedError):
    """A part of pycaffe that layerscope does not have yet."""
