"""From a decoded image to the network's input, and whether it can be judged at all."""
