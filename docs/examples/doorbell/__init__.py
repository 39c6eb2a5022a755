"""A doorbell: the smallest complete API, as an example of one folder in `machines/`."""
