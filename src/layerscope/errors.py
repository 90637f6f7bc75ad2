"""Every error that a user can cause, and the exit code it ends the program with.

    LayerscopeError                 the base: catch this one to catch them all
    ├── UsageError            2     the request itself is wrong: an option, a name, a missing file
    │   └── UnknownNameError  2     no such blob, layer or param (also a KeyError)
    ├── ReadError             3     a file is damaged, or is not what it was taken for
    ├── UnsupportedError      4     the file is valid, but asks for what layerscope cannot do
    │   └── UnsupportedLayerError 4   one layer cannot be computed; the net opens without it
    ├── LimitError            5     a stated limit was reached: size, count, memory
    └── SystemFaultError      6     the machine refused: permission, disk full, a missing extra

Exit code 1 is no error: it is the answer of `layerscope compare --fail-above`, "compared, and they
differ", as diff gives it.

Every message says what was asked, what was found and what to do, in one line.  A traceback is for
our own faults only (exit code 70).
"""

from __future__ import annotations


class LayerscopeError(Exception):
    """The base of every error that layerscope raises on purpose."""

    exit_code = 70


class UsageError(LayerscopeError):
    """The request is wrong: an option, an argument, a name, a file that is not there."""

    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A blob, layer or param of that name does not exist; the message has the nearest ones."""

    def __str__(self) -> str:  # KeyError would print the repr of its argument
        return str(self.args[0]) if self.args else ""


class ReadError(LayerscopeError):
    """A file is damaged, ends early, or is not of the format it was opened as."""

    exit_code = 3


class UnsupportedError(LayerscopeError):
    """The file is valid, but holds something that layerscope cannot run or show."""

    exit_code = 4


class UnsupportedLayerError(UnsupportedError):
    """One layer cannot be computed: the net opens, and only a run that needs it stops."""


class LimitError(LayerscopeError):
    """A stated limit was reached: a size, a count, or the memory of this machine."""

    exit_code = 5


class SystemFaultError(LayerscopeError):
    """The operating system refused: no permission, a full disk, a package that is not installed."""

    exit_code = 6
