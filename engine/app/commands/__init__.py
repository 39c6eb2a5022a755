"""What the commands of `switchhook` do; one module each, imported when its command runs."""
