"""A local page that follows a run at work, from its folder alone."""
