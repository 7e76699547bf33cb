"""The command line: `python -m mlcore`."""
