"""From files to opinions."""
