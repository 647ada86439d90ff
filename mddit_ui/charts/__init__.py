"""Charts: one file each, the data first, the figure second."""
