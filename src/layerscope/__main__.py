"""`python -m layerscope` is the command line."""

from __future__ import annotations

from layerscope.cli import main

if __name__ == "__main__":
    main()
