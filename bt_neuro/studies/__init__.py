"""The article's comparison, on any bars."""
