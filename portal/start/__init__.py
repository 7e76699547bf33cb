"""How one machine runs everything: ``make run`` ends here (``python -m portal.start``)."""
