"""Why Overread does not start, in a sentence that says how to put it right."""


class Refusal(Exception):
    """Something outside our code stands in the way; ``str()`` is the sentence for the person at the terminal."""
