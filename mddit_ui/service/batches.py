"""Many images, some at a time."""

from collections.abc import Iterator

BATCH = 16  # images in the model at one time


def batches(images: int) -> Iterator[slice]:
    """The parts of so many images, in order."""
    return (slice(start, min(start + BATCH, images)) for start in range(0, images, BATCH))
