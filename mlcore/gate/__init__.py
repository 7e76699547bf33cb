"""The rules by which a candidate may take the place of the model in use. Light."""
