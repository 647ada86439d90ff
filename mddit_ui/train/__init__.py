"""Training of the demo models on scenes: rendered pictures whose captions say all there is to know."""
