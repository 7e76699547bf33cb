"""From labelled images to a model folder with its report."""
