"""The process that `opening` measures: open a net, make its session, run it once.

    python -m benchmarks.opening_child PROTOTXT CAFFEMODEL

Prints its numbers as JSON.  What is not of the standard library is imported where it is counted.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def peak_megabytes() -> float:
    """The most memory that this process has had resident.

    Linux counts the parent's memory into a child's ru_maxrss, so the process's own high-water mark
    is read where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measured(prototxt: str, caffemodel: str) -> dict[str, float]:
    """The seconds of each step, and the peak memory."""
    begin = time.perf_counter()
    import numpy as np

    import layerscope as ls
    from benchmarks.sessions import captured_values
    from layerscope.engine.onnxruntime import session
    from layerscope.readers import caffe  # noqa: F401 - else it would count as opening

    imported, peak_imports = time.perf_counter(), peak_megabytes()
    net = ls.open(prototxt, caffemodel)
    opened = time.perf_counter()
    session(net, captured_values(net))
    made = time.perf_counter()
    blobs = net.run(np.ones(net.graph.shapes[net.inputs[0]], np.float32))
    end = time.perf_counter()
    assert len(blobs) == len(net.blobs)
    return {
        "imports": imported - begin,
        "open": opened - imported,
        "session": made - opened,
        "run": end - made,
        "total": end - imported,
        "peak imports": peak_imports,
        "peak": peak_megabytes(),
    }


if __name__ == "__main__":
    print(json.dumps(measured(*sys.argv[1:])))
