"""How dates and times are written, by language: short, as lists have many of them, days first."""
