"""Frames to printed tables."""
