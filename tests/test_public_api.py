"""What is public is listed, importable and documented; importing it is cheap."""

from __future__ import annotations

import inspect
import subprocess
import sys

import layerscope as ls


def test_all_is_sorted_and_complete() -> None:
    assert ls.__all__ == sorted(ls.__all__)
    public = {
        name
        for name, value in vars(ls).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert public | {"__version__", "errors"} == set(ls.__all__)


def test_every_public_name_is_documented() -> None:
    for name in ls.__all__:
        value = getattr(ls, name)
        if inspect.isclass(value):
            for member, method in vars(value).items():
                if not member.startswith("_") and (
                    inspect.isfunction(method) or isinstance(method, property)
                ):
                    assert inspect.getdoc(method), f"{name}.{member}"
        if not isinstance(value, str):
            assert inspect.getdoc(value), name


def test_import_is_cheap() -> None:
    code = (
        "import sys, layerscope;"
        "print([m for m in ('matplotlib', 'PIL', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_exit_codes_differ() -> None:
    kinds = [
        ls.errors.UsageError, ls.errors.ReadError, ls.errors.UnsupportedError,
        ls.errors.LimitError, ls.errors.SystemFaultError,
    ]  # fmt: skip
    assert [kind.exit_code for kind in kinds] == [2, 3, 4, 5, 6]
    assert ls.LayerscopeError.exit_code == 70
