"""Decoding in processes of its own, within limits of memory and time."""
