"""Ratios and times, measured on this machine: `make bench`.  Goals: docs/performance.md."""
