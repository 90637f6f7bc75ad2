"""Zip archives that PyTorch writes, told apart by the names in them; nothing is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from layerscope.errors import ReadError, UnsupportedError

MAX_NAMES = 1_000_000
EXPORT = 'torch.onnx.export(module, (example,), "net.onnx")'


def kind_of_zip(path: Path, name: str) -> str:
    """What a zip archive is: "pytorch" for tensors that `torch.save` wrote.

    Args:
        path: the archive.
        name: as messages call it.

    Raises:
        ReadError: another archive, or a damaged one.
        UnsupportedError: a program: TorchScript or an exported program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise ReadError(
            f"{name}: a zip archive (PyTorch's files are too) that is damaged: {error}"
        ) from None
    if len(names) > MAX_NAMES:
        raise ReadError(f"{name}: a zip archive of {len(names):,} files, not a net")
    # PyTorch puts all it writes into one folder.
    inside = {each.partition("/")[2] or each for each in names}
    if "constants.pkl" in inside or any(each.startswith("code/") for each in inside):
        raise UnsupportedError(
            f"{name}: TorchScript, a program, which is not run here; export the module that it was"
            f" made from: {EXPORT}"
        )
    exported = {"archive_format", "archive_version", "serialized_exported_program.json"}
    if inside & exported or set(names) & exported:
        raise UnsupportedError(
            f"{name}: an exported program of PyTorch; write it as ONNX:"
            f' torch.onnx.export(torch.export.load("{name}"), dynamo=True).save("net.onnx")'
        )
    if "data.pkl" in inside:
        return "pytorch"
    raise ReadError(
        f"{name}: a zip archive (PyTorch's files are too), not a net; give a net, or unpack it"
    )
