"""The article's study on any bars: three experts, each claim of the article answered."""
