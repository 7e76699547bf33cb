"""Limits that several rooms share."""

LONGEST_NUMBERS = 200  # characters of a list of image numbers
LONGEST_TEXT = 4000  # characters of a comment, or of a reason given in words
