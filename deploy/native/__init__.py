"""The whole stack on this machine, without containers."""
