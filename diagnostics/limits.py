"""Limits that several rooms share."""

LONGEST_TEXT = 4000  # characters of a comment, or of a reason given in words
