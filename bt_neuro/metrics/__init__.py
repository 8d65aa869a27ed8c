"""Figures computed from a run's tables: classification, baselines, trading."""
