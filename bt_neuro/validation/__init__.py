"""Walk-forward tests, parameter search, look-ahead and warm-up checks."""
