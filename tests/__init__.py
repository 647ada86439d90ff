"""The tests; each folder mirrors the room of the same name."""
