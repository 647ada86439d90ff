"""What is kept: searches, runs and saved policies."""
