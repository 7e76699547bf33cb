"""What is computed: paths and arrays in, dataclasses out. Imports nothing: the web process stays light."""
