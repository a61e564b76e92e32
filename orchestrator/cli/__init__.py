"""Typer verbs: parse, call app, print."""
