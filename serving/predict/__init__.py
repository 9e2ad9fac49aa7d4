"""From ids or rows to predictions, explanations and replays."""
