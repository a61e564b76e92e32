"""A small network of one's own, with everything that a study can ask of it."""
