"""A tour of four steps for the first visit; it can be skipped, and be asked for again."""

from pathlib import Path

import gradio as gr

STATIC = Path(__file__).parent / "static"
_HTML, _CSS, _JS = ((STATIC / f"tour.{kind}").read_text() for kind in ("html", "css", "js"))
START = """() => { document.dispatchEvent(new Event("mddit-tour")); }"""


def build() -> gr.HTML:
    """The card; it is hidden until the page is there."""
    return gr.HTML(
        "",
        html_template=_HTML,
        css_template=_CSS,
        js_on_load=_JS,
        apply_default_css=False,
        elem_id="tour",
        padding=False,
    )
