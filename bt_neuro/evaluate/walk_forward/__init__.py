"""Walk-forward testing: folds, each learned and tested by itself, and the report of them all."""
