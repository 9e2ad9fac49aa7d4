"""Models as every part knows them: manifest, registry, verdict."""
