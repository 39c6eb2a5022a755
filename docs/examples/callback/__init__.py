"""Files of the tutorial about a lifecycle of one's own."""
