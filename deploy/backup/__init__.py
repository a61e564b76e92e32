"""Copies of a registry with everything that it lists, and the way back."""
