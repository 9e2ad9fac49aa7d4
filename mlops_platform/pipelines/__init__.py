"""The pipelines from outside: what they are called, starting them, following a run."""
