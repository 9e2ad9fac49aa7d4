"""Brings the platform up as supervised local processes, and down again."""
