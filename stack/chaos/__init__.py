"""Processes of a running platform are killed while it works, and after each what it promises is looked at."""
