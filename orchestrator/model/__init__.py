"""Frozen types that flow down the street; import them from their modules."""
