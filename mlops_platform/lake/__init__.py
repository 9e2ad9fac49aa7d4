"""The lake: where each kind of data lies, raw dataset versions, and snapshots, written once, then published."""
