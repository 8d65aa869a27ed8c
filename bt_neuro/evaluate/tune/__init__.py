"""A search over a strategy's parameters, judged by walk-forward folds."""
