"""The registry of states, leases and plans, on SQLAlchemy."""
