"""What a model, or a reader, is worth: every number with its interval. Light."""
