"""Use cases, a file each, and the composition root: the only package that knows adapters."""
