"""Whether a strategy sees the future, and how many bars it needs before it can be trusted."""
