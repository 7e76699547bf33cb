"""From bytes to pixels: every kind of file that is read here. Light: the web process may load it."""
