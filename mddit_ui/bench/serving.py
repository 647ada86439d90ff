"""The app in a process of its own, and a browser to look at it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from mddit_ui.charts.script import PLOTLY_JS
from mddit_ui.core.errors import MdditError
from mddit_ui.core.paths import ROOT, atomic_write

ARGUMENTS = (
    "--no-sandbox --headless --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
START_SECONDS = 480  # a busy machine is slow
END_SECONDS = 30


class Served(NamedTuple):
    """A running app."""

    url: str
    process: subprocess.Popen


def free_port() -> int:
    """One that nobody listens to now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(
    environment: Mapping[str, str], log: Path, command: Sequence[str] = ("app.py",), port: int | None = None
) -> Iterator[Served]:
    """The app as a person starts it, in this environment; ``log`` gets what it says.

    Raises:
        MdditError: it does not come up; the message has the end of the log.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/"
    with open(log, "ab") as output:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *command],
            cwd=ROOT,
            env={**environment, "GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_up(url, process, log)
        yield Served(url, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
        if process.poll() is not None or time.monotonic() > end:
            raise MdditError(f"The app did not start: {log.read_text()[-4000:]}")


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium (``$CHROMIUM``, else ``/usr/bin/chromium``) without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


def save_picture(figure: Any, target: Path) -> None:
    """A figure of Plotly as a vector picture, drawn by the browser; needs no font or program of its own."""
    with browser() as chromium:
        page = chromium.new_page()
        page.set_content("<div id='figure'></div>")
        page.add_script_tag(path=PLOTLY_JS)
        content = json.loads(figure.to_json())
        size = {name: content["layout"][name] for name in ("width", "height")}
        draw = "([figure, how]) => Plotly.toImage(figure, how)"
        picture = page.evaluate(draw, [content, {"format": "svg", **size}])
    atomic_write(target, unquote(picture.partition(",")[2]))
