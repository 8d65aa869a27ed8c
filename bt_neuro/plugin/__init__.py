"""The backtrader plugin: strategy, feeds, features, indicators, analyzers and observers."""
