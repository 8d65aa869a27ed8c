"""Backtests and streams, and the folders they write."""
