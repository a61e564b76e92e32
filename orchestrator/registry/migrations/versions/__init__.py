"""One file for each schema version; their numbers are the schema versions that messages name."""
