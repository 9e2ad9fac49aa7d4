"""What every part of the platform shares: specs, settings, the lake, the online store."""
