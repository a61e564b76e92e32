"""Scripts that renew files of the repository."""
