"""A tour of four steps for the first visit; it can be skipped, and be asked for again."""

import gradio as gr

from mddit_ui.ui.display import template

START = """() => { document.dispatchEvent(new Event("mddit-tour")); }"""


def build() -> gr.HTML:
    """The card; it is hidden until the page is there."""
    return gr.HTML("", elem_id="tour", padding=False, **template("tour"))
