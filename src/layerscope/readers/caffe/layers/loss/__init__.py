"""Layers that compare what a net gives with what it should give."""
