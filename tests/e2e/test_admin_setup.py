"""A season from an empty database by clicks and typing alone."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Page, expect

from agents.prompts import arena_core
from tests.arenas import Arena, open_arena
from tests.e2e.conftest import Server
from tests.fakes.llm_server import LlmServer

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

PASSWORD = "correct horse battery staple"
INTERVAL_SECONDS = 5


@dataclass
class EmptyServer(Server):
    """The embedded arena with one superuser and nothing else."""

    def start(self) -> None:
        self.process = self.arena.spawn(
            "-m", "tests.e2e.empty_arena", str(self.port), PASSWORD, output=self.output
        )
        self.wait_for("/readyz")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with open_arena(tmp_path_factory.mktemp("empty")) as opened:
        key = Fernet.generate_key().decode()
        yield replace(opened, environment={**opened.environment, "ARENA_ENCRYPTION_KEY": key})


@pytest.fixture(scope="module")
def server(
    chromium_path: str, arena: Arena, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Take the place of the server with the demo season, for ``visit``."""
    output: Path = tmp_path_factory.mktemp("output") / "output.txt"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = EmptyServer(arena, output, port)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def models() -> Iterator[LlmServer]:
    with LlmServer() as running:
        yield running


# --- what a hand does ----------------------------------------------------------------------------


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.locator("[name=username]").fill("root")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[type=submit]").first.click()
    expect(page.locator("h2", has_text="What needs attention")).to_be_visible()


def home(page: Page) -> None:
    page.get_by_role("link", name="Home").first.click()


def add(page: Page, model: str) -> None:
    """Open the form of a new row from the front page."""
    page.locator(f".model-{model} .addlink").first.click()
    expect(page.locator("[name=_save]").first).to_be_visible()


def fill(page: Page, **typed: object) -> None:
    for name, text in typed.items():
        page.locator(f"[name='{name}']").fill(str(text))


def find(page: Page, field: str, text: str) -> None:
    """Choose a row by typing into a field that looks rows up."""
    page.locator(f"{field} .select2-selection").click()
    page.locator(".select2-search__field").last.fill(text)
    page.locator(".select2-results__option", has_text=text).first.click()


def save(page: Page) -> None:
    page.locator("[name=_save]").first.click()
    expect(page.locator(".messagelist .success")).to_contain_text("was added successfully")


def set_up_who_plays(page: Page, url: str) -> None:
    add(page, "provider")
    page.locator("[name=kind]").select_option("OPENAI_COMPATIBLE")
    fill(page, name="Own models", slug="own", base_url=url)
    save(page)
    home(page)
    add(page, "prompttemplate")
    texts = {"system": arena_core.SYSTEM, "market": arena_core.MARKET}
    fill(page, slug="first", account=arena_core.ACCOUNT, **texts)
    save(page)
    home(page)
    add(page, "agent")
    fill(page, name="Trader", slug="trader", model="trader-a")
    find(page, ".field-provider", "own")
    find(page, ".field-template", "first")
    save(page)
    home(page)


def set_up_the_market(page: Page) -> None:
    for symbol, tick, step in (("BTCUSDT", "0.1", "0.001"), ("ETHUSDT", "0.01", "0.001")):
        add(page, "instrument")
        limits = {"tick_size": tick, "step_size": step, "min_quantity": step, "min_notional": 5}
        fill(page, symbol=symbol, **limits)
        save(page)
        home(page)
    add(page, "feed")
    page.locator("[name=kind]").select_option("SYNTHETIC")
    fill(page, name="Invented market", slug="invented", source="invented-3", seed=3)
    save(page)
    home(page)


def set_up_who_may_come_in(page: Page) -> str:
    """Make two accounts and a key; return the key as it is shown this once."""
    for name, role in (("vera", "viewer"), ("otto", "operator")):
        add(page, "user")
        fill(page, username=name, password1=PASSWORD, password2=PASSWORD)
        page.locator(f"[name=role][value={role}]").check()
        save(page)
        home(page)
    add(page, "apikey")
    fill(page, name="nightly export")
    find(page, ".field-owner", "otto")
    page.locator("[name=scopes][value=CONTROL]").check()
    page.locator("[name=_save]").first.click()
    token = page.locator("#new-key").inner_text()
    home(page)
    return token


def set_up_the_season(page: Page) -> None:
    add(page, "competition")
    # Key by key: the address follows what is typed.
    page.locator("[name=name]").press_sequentially("First season")
    expect(page.locator("[name=slug]")).to_have_value("first-season")
    page.locator("[name=feed]").select_option(label="invented")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        page.locator("#id_instruments_from option", has_text=symbol).dblclick()
    fill(page, interval_seconds=INTERVAL_SECONDS, deadline_seconds=INTERVAL_SECONDS)
    find(page, "#participants-0 .field-agent", "trader")
    find(page, "#participants-1 .field-agent", "trader")
    fill(page, **{"participants-1-name": "Second trader"})
    page.locator("[name=_save]").first.click()
    expect(page.locator(".messagelist .success")).to_contain_text("was added successfully")


def act(page: Page, title: str) -> None:
    page.locator(".season-acts").get_by_role("link", name=title, exact=True).click()


def status(page: Page) -> str:
    return page.locator(".field-status .readonly").inner_text()


def test_a_season_is_set_up_and_run_with_the_mouse_alone(visit, server, models):
    seen = visit()
    page = seen.page
    sign_in(page)
    expect(page.locator("[data-testid=steps] li[data-k=note]")).to_have_count(6)

    set_up_who_plays(page, models.openai_url)
    set_up_the_market(page)
    expect(page.locator("[data-testid=steps] li[data-k=done]")).to_have_count(5)
    assert re.fullmatch(r"arena_[0-9a-f]{8}_[\w-]{43}", set_up_who_may_come_in(page))
    page.locator("[data-testid=steps] a", has_text="Add").click()
    home(page)
    set_up_the_season(page)
    expect(page.locator(".messagelist .warning")).to_have_count(0)
    page.locator("#result_list a", has_text="First season").click()

    # The contract is shown, then it starts.
    act(page, "Start")
    contract = page.locator("[data-testid=contract]")
    expect(contract.locator("tr", has_text="A round every")).to_contain_text("5 s")
    expect(contract.locator("tr", has_text="Second trader")).to_contain_text("new")
    assert len(page.locator("[data-testid=agreed]").inner_text()) == 64
    page.get_by_role("button", name="Start under this contract").click()
    expect(page.locator(".messagelist .success")).to_contain_text("First season was started")
    assert status(page) == "Running"

    # It plays: the model is asked and its answers are decisions.
    here = page.url
    page.goto("/c/first-season/")
    expect(page.locator("[data-testid=round-count]")).to_have_attribute(
        "data-value", re.compile(r"^([2-9]|\d\d)$"), timeout=60_000
    )
    page.goto("/c/first-season/r/1/")
    # What it answers is drawn from its prompt, and the market differs each time.
    expect(page.locator("[data-testid=turn]", has_text="Second trader")).to_contain_text(
        re.compile("TRADED|HELD|DENIED")
    )
    assert any(request.model == "trader-a" for request in models.requests)
    page.goto(here)

    # A second one like it; it differs in nothing.
    act(page, "Duplicate")
    fill_name = page.get_by_label("Name of the new season")
    fill_name.fill("Second season")
    page.get_by_role("button", name="Make the draft").click()
    expect(page.locator("[name=slug]")).to_have_value("second-season")
    act(page, "Start")
    expect(page.locator(".against")).to_contain_text("duplicated from, First season")
    expect(
        page.locator("[data-change=changed], [data-change=new], [data-change=gone]")
    ).to_have_count(1)
    expect(page.locator("[data-change=changed]")).to_contain_text("First slot")

    page.goto(here)
    for title, button, wanted in (
        ("Pause now", "Pause now", "Paused"),
        ("Resume", "Resume", "Running"),
        ("Stop for good", "Stop for good", "Stopped"),
    ):
        act(page, title)
        page.get_by_role("button", name=button).click()
        expect(page.locator(".field-status .readonly")).to_have_text(wanted)
    assert seen.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_of_the_admin_fit(visit, server, theme, width):
    seen = visit(width, theme)
    page = seen.page
    sign_in(page)

    for address in (
        "/admin/",
        "/admin/auth/user/add/",
        "/admin/competitions/competition/",
        "/admin/competitions/competition/add/",
    ):
        page.goto(address)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, address
    assert seen.complaints == []
