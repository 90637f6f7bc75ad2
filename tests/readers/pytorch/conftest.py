"""PyTorch is an extra: what needs it is marked, and left out where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

spec = find_spec("torch")
collect_ignore = (
    []
    if spec is not None and spec.origin
    else ["test_module.py", "test_state_dict.py", "torchnets.py"]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "pytorch" in item.path.parts and item.path.name in (
            "test_module.py",
            "test_state_dict.py",
        ):
            item.add_marker("torch")
