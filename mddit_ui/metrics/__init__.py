"""How good pictures are: their likeness to a text, and to other pictures."""
