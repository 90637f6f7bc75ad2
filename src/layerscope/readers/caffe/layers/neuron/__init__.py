"""Layers that change each value by itself, or by a learned factor."""
