"""Parquet parts and checkpoint directories."""
