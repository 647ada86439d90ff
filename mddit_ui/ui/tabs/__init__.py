"""One file a tab: each builds its components and connects them to the shared ones."""
