"""Claim, run, commit; knows ports, never adapters."""
