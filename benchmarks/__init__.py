"""Measurements against peers; each is one command."""
