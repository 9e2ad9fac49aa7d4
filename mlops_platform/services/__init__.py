"""The services of the platform: the table of them, their environment, their probes."""
