"""One folder for each use case: spec, features, model, made-up data."""
