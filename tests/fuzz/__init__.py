"""Any bytes from outside."""
