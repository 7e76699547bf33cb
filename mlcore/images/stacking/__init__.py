"""How images of a series are told apart and put in order."""
