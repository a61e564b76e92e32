"""The study language: load, expand, identify, plan."""
