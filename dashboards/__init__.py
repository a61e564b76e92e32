"""The web page of a store: reads through `orchestrator.app` alone, writes nothing but cancel and resume."""
