"""What a model is, without its weights: description, settings, identity, card. Light."""
