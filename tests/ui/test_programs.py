"""The page as programs see it: every verb by its name, and as a Space would run it."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any, Self

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.tiny import PROMPTS
from tests.ui.conftest import App

MODEL = "tiny-pixart"
VERBS = {"models", "make_policy", "generate", "evaluate", "start_search", "search_status", "pause_search",
         "resume_search", "stop_search"}  # fmt: skip
PATIENCE = 600  # seconds


@pytest.fixture(scope="module")
def client(served: App) -> Client:
    return Client(served.url, verbose=False)


def test_every_verb_has_a_name_and_types(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert {name.strip("/") for name in endpoints} == VERBS
    kinds = {each["parameter_name"]: each["python_type"]["type"] for each in endpoints["/generate"]["parameters"]}
    assert kinds["prompts"] == "list[str]"
    assert kinds["steps"] == "int"


def test_every_verb_is_a_tool(served: App, client: Client) -> None:
    """The page of the tests is started with MDDIT_MCP=1."""
    with urllib.request.urlopen(f"{served.url}gradio_api/mcp/schema", timeout=PATIENCE) as answer:
        tools = {tool["name"]: tool for tool in json.load(answer)}
    assert {name for name in tools if name.split("_", 1)[-1] in VERBS or name in VERBS} == set(tools)
    assert len(tools) == len(VERBS)
    (generate,) = (tool for name, tool in tools.items() if name.endswith("generate"))
    assert generate["description"].startswith("Make one picture for each prompt")
    assert generate["inputSchema"]["properties"]["prompts"]["type"] == "array"
    assert generate["inputSchema"]["properties"]["steps"]["type"] == "integer"


def test_generate_and_evaluate(client: Client) -> None:
    policy = client.predict(MODEL, "every", 2, 4, api_name="/make_policy")
    assert policy["rows"] == ["####", "====", "####", "===="]
    assert 0 < policy["budget"] < 1

    made = client.predict(MODEL, [PROMPTS[0]], policy["rows"], 3, 4, api_name="/generate")
    assert made["images"][0].startswith("data:image/png;base64,")
    assert made["macs"] / made["full_macs"] == pytest.approx(policy["budget"], abs=1e-6)

    score = client.predict(MODEL, list(PROMPTS), policy["rows"], 0, 4, api_name="/evaluate")
    assert score["images"] == 2
    assert score["psnr"] > 0


class Search:
    """A search by its verbs, which does not outlive its test."""

    def __init__(self, client: Client, *asked: Any) -> None:
        self.client, self.id = client, client.predict(*asked, api_name="/start_search")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.predict(self.id, api_name="/stop_search")

    def until(self, there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Its status, as soon as that is so."""
        end = time.monotonic() + PATIENCE
        while not there(state := self.client.predict(self.id, api_name="/search_status")):
            assert time.monotonic() < end, state
            time.sleep(0.5)
        return state


@pytest.mark.slow  # processes that load the model
def test_search(client: Client) -> None:
    with Search(client, MODEL, [PROMPTS[0]], 0.6, 3, 4, 1) as search:
        state = search.until(lambda state: state["state"] not in ("queued", "running"))
    assert (state["state"], state["done"]) == ("done", 3), state
    assert state["best"]["budget"] <= 0.6


@pytest.mark.slow  # processes that load the model
def test_a_search_starts_from_a_schedule_and_is_stopped(client: Client) -> None:
    start = ["####", "====", "####", "===="]
    with Search(client, MODEL, [PROMPTS[0]], 0.6, 5000, 4, 1, start) as search:
        search.until(lambda state: state["done"] >= 1)
        client.predict(search.id, api_name="/stop_search")
        state = search.until(lambda state: state["state"] == "stopped")
    assert 1 <= state["done"] < 5000


@pytest.mark.parametrize(
    ("verb", "values", "said"),
    [
        ("/generate", (MODEL, [PROMPTS[0]], ["####"], 0, 4), "4 rows of 4 letters; got 1 of 4"),
        ("/generate", (MODEL, [PROMPTS[0]], ["<b>"], 0, 1), "rows of 4"),
        ("/generate", (MODEL, [], None, 0, 4), "prompts or classes"),
        ("/generate", (MODEL, [PROMPTS[0]], None, 0, 100_000), "steps"),
        ("/generate", ("no-such-model", [PROMPTS[0]], None, 0, 4), "No model"),
        ("/make_policy", (MODEL, "magic", 2, 4), "No preset"),
        ("/search_status", ("0" * 32,), "no search"),
        ("/start_search", (MODEL, [PROMPTS[0]], 7.0, 3, 4, 1), "budget"),
        ("/start_search", (MODEL, [PROMPTS[0]], 0.6, 3, 4, 1, ["===="]), "nothing was computed before it"),
    ],
)
def test_a_wrong_request_is_answered_in_words(client: Client, verb: str, values: tuple, said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(*values, api_name=verb)
