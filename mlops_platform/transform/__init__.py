"""A use case's transform, compiled: the one PySpark function of ``features.py`` as a query for DuckDB."""
