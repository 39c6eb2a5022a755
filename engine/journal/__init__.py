"""The journal: what happened, in order, for ever; the only truth of a call."""
