"""The prediction log: written, published as a Hive table, compacted, searched."""
