"""From closed bars to signals: labels, the label queue, the learner and its checkpoint."""
