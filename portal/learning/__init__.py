"""The learning loop as people meet it, in the lab and in the admin: the same forms, the same sentences, one rule."""
