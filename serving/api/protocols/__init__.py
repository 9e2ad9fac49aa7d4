"""Protocols of other systems, over the same predictions."""
