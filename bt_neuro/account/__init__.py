"""The account a strategy trades: cash and costs."""
