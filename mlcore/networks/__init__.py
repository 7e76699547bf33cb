"""The networks themselves: built by code, kept as files, run by TensorFlow or LiteRT."""
