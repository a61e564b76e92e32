"""Drawings of layered graphs, as SVG, with the standard library alone."""
