"""Following what is published: snapshots, models, routing."""
