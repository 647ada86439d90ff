"""Measures: one file a table or picture."""
