"""What a use case is, and which there are."""
