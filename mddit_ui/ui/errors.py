"""The one place where errors become words on the screen, and where text of strangers becomes safe HTML."""

import functools
import html
import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr

from mddit_ui.core.errors import MdditError


def escaped(text: object) -> str:
    """Text of people (names, prompts, messages) for use inside HTML; every such text goes through here."""
    return html.escape(str(text), quote=True)


def as_toast(error: MdditError) -> gr.Error:
    """What the toast shows: the message of the error, as text."""
    return gr.Error(escaped(error), print_exception=False)


def shown(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of every event handler: an ``MdditError`` becomes a toast, any other error stays a bug with a trace."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **more: Any) -> Any:
            try:
                yield from handler(*args, **more)
            except MdditError as error:
                raise as_toast(error) from None

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **more: Any) -> Any:
        try:
            return handler(*args, **more)
        except MdditError as error:
            raise as_toast(error) from None

    return call
