"""Studies of the learning core, whose tables stand in docs: run by `python -m mlcore table | ablate | …`."""
