"""What is learned from: labels, labelled images, their groups and parts. Light: the web process may load it."""
