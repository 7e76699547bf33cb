"""How fast Overread is, as ratios: two things measured in turn, in one run, on the same machine."""
