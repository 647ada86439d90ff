"""Starts the app; also the entry of a Hugging Face Space."""

from mddit_ui.ui.app import launch

if __name__ == "__main__":
    launch()
