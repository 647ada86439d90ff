"""The one place where errors become words on the screen, and where text of strangers becomes safe HTML."""

import functools
import html
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from mddit_ui.core.errors import MdditError

BUG = "This should not have happened. What you made is still here; the log of the app says more."
_log = logging.getLogger(__name__)


def escaped(text: object) -> str:
    """Text of people (names, prompts, messages) for use inside HTML; every such text goes through here."""
    return html.escape(str(text), quote=True)


def as_toast(error: MdditError) -> gr.Error:
    """What the toast shows: the message of the error, as text."""
    return gr.Error(escaped(error), print_exception=False)


def shown(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of every event handler: an ``MdditError`` becomes a toast; another one too, with a trace in the log."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def stream(*args: Any, **more: Any) -> Any:
            with _toasts():
                yield from handler(*args, **more)

        return stream

    @functools.wraps(handler)
    def call(*args: Any, **more: Any) -> Any:
        with _toasts():
            return handler(*args, **more)

    return call


@contextmanager
def _toasts() -> Iterator[None]:
    try:
        yield
    except MdditError as error:
        raise as_toast(error) from None
    except (gr.Error, GeneratorExit):
        raise
    except Exception as error:
        _log.exception("A handler failed.")
        raise gr.Error(f"{BUG} ({type(error).__name__})", print_exception=False) from None
