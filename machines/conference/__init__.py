"""Conference: rooms with participants, streams and views, by REST, with events that carry versions."""
