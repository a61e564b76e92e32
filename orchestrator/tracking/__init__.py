"""Mirrors of what happened."""
