"""The page for people, in a real browser."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gitml.models.schema import ColSpec, Schema
from gitml.models.signature import ModelSignature
from tests import serving
from tests.serving import Kind, served

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
EVIL = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'&"
KINDS = {
    "evil": Kind(serving.seen, ModelSignature(Schema([ColSpec("double", EVIL)]))),
    **serving.KINDS,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window; there may be none on this machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, name: str, folder: Path, **options: Any) -> Iterator[Any]:
    """The page of a model; nothing in it may fail, warn, or be refused by its own policy."""
    complaints: list[str] = []
    serving.KINDS.setdefault(name, KINDS[name])
    with served(serving.save(name, folder / "model", **options)) as server:
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.on("console", lambda said: complaints.append(said.text))
        page.goto(f"http://127.0.0.1:{server.port}/")
        yield page
        page.close()
    assert [it for it in complaints if "Failed to load resource" not in it] == []  # a refusal


def predicted(page: Any) -> Any:
    """Press the button; the answer."""
    with page.expect_response("**/invocations"):
        page.click("#predict")
    page.wait_for_selector("#answer:not(:empty)")
    return json.loads(page.text_content("#answer"))


def test_a_form_gives_a_prediction(browser: Any, tmp_path: Path) -> None:
    """A person fills in the columns, presses the button, and sees the prediction."""
    example = pd.DataFrame({"a": [0.5], "b": [0.25]})
    with opened(browser, "total", tmp_path, input_example=example) as page:
        assert page.input_value('[data-name="a"]') == "0.5"
        page.fill('[data-name="a"]', "1.5")
        page.fill('[data-name="b"]', "2")
        assert predicted(page) == {"predictions": [{"0": 3.5}]}
        assert page.text_content("#status").startswith("200")


def test_the_command_asks_the_same(browser: Any, tmp_path: Path) -> None:
    """What is shown for a terminal has the address and the body, safe from the shell."""
    with opened(browser, "all", tmp_path) as page:
        page.fill('[data-name="word"]', 'it\'s $HOME `id` "x"')
        command = shlex.split(page.text_content("#curl"))
        assert command[:2] == ["curl", page.url + "invocations"]
        table = json.loads(command[-1])["dataframe_split"]
        row = dict(zip(table["columns"], table["data"][0], strict=True))
        assert row["word"] == 'it\'s $HOME `id` "x"'
        page.click("#copy")
        page.wait_for_selector("#status:not(:empty)")


def test_every_type_has_a_field(browser: Any, tmp_path: Path) -> None:
    """Flags, numbers, texts, dates and bytes go to the model as what they are."""
    with opened(browser, "all", tmp_path) as page:
        page.select_option('[data-name="flag"]', "false")
        page.fill('[data-name="large"]', "9007199254740993")
        page.fill('[data-name="word"]', "<b>☃</b>")
        page.fill('[data-name="data"]', "AAEC")
        page.fill('[data-name="day"]', "2026-01-31")
        page.fill('[data-name="maybe"]', "")
        columns = predicted(page)["predictions"][0]["data"]
        given = {name: values[2][0] for name, values, _ in columns}
        assert given["flag"] == "bool False"
        assert given["large"] == "int 9007199254740993"
        assert given["word"] == "str <b>☃</b>"
        assert given["maybe"] == "missing"


def test_a_wrong_value_is_told(browser: Any, tmp_path: Path) -> None:
    """The server's refusal is shown as it is, and marked."""
    with opened(browser, "total", tmp_path) as page:
        page.fill('[data-name="a"]', "many")
        with page.expect_response("**/invocations") as response:
            page.click("#predict")
        assert response.value.status == 400
        page.wait_for_selector("#answer.bad")
        assert "column 'a'" in page.text_content("#answer")


def test_params_have_fields(browser: Any, tmp_path: Path) -> None:
    """Params are there with their defaults, and reach the model."""
    with opened(browser, "params", tmp_path) as page:
        assert page.input_value('[data-name="scale"]') == "1.0"
        page.fill('[data-name="scale"]', "2.5")
        assert predicted(page)["predictions"][0]["params"]["scale"] == "float 2.5"


@pytest.mark.parametrize("name", ["tensor", "tensors", "unnamed", "nested", "free"])
def test_without_a_form_the_request_is_json(name: str, browser: Any, tmp_path: Path) -> None:
    """Tensors, columns without names and nested data are written as JSON, beginning with one."""
    with opened(browser, name, tmp_path) as page:
        assert not page.is_visible("#form")
        assert "predictions" in predicted(page)


def test_what_comes_from_the_model_is_text(browser: Any, tmp_path: Path) -> None:
    """A name full of markup is shown, and runs nothing."""
    with opened(browser, "evil", tmp_path) as page:
        assert page.get_attribute("input", "data-name") == EVIL
        assert predicted(page)["predictions"][0]["data"][0][0] == EVIL
        assert page.query_selector("main img") is None


def test_the_page_is_dark_where_the_user_wants_it(browser: Any, tmp_path: Path) -> None:
    """The colours follow the system, and text stands out from its ground in both."""
    with opened(browser, "total", tmp_path) as page:
        grounds = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            style = "(name) => getComputedStyle(document.body)[name]"
            grounds.add(page.evaluate(style, "backgroundColor"))
            assert page.evaluate(style, "color") != page.evaluate(style, "backgroundColor")
        assert len(grounds) == 2
