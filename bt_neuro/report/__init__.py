"""Pages and console summaries of runs, drawn from their folders."""
