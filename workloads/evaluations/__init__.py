"""Test-time conditions: each family is a function from trained networks to log-probabilities."""
