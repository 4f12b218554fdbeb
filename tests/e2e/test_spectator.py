"""What a spectator sees: from the first page to a decision, live, wide and narrow, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.ways import LIVE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def is_scrolled_sideways(page: Page) -> bool:
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


def round_count(page: Page) -> int:
    return int(page.locator("[data-testid=round-count]").get_attribute("data-value"))


def wait_for_round(page: Page, number: int) -> None:
    # The policy of the pages forbids playwright's own way of waiting for an expression.
    pattern = re.compile("^(" + "|".join(str(number + more) for more in range(50)) + ")$")
    expect(page.locator("[data-testid=round-count]")).to_have_attribute(
        "data-value", pattern, timeout=40_000
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_from_the_first_page_to_a_decision(visit, width, theme):
    seen = visit(width, theme)
    page = seen.page

    page.goto("/")
    expect(page.locator("h1")).to_contain_text("Language models")
    assert not is_scrolled_sideways(page)
    page.get_by_role("link", name="Open the live page").click()

    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    expect(page.locator("[data-testid=mode]").first).to_have_text("SIMULATED")
    page.wait_for_selector("[data-testid=board-row] .rank")
    assert not is_scrolled_sideways(page)
    page.locator("[data-testid=turn] a", has_text="Trail").first.click()

    expect(page.locator("[data-testid=step]")).to_have_count(8)
    assert not is_scrolled_sideways(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 248, 250)", "dark": "rgb(13, 17, 23)"}[theme]
    assert seen.complaints == []


@pytest.mark.parametrize(
    "address",
    ["leaderboard/", "rules/", "figures/", "a/buy-and-hold/", "r/1/", "r/1/buy-and-hold/"],
)
@pytest.mark.parametrize("width", [360, 1440])
def test_the_other_pages_fit_and_complain_of_nothing(visit, address, width):
    seen = visit(width)

    seen.page.goto(f"/c/demo/{address}")

    expect(seen.page.locator("h1")).to_be_visible()
    assert not is_scrolled_sideways(seen.page)
    assert seen.complaints == []


@pytest.mark.parametrize("width", [360, 600, 768, 1024, 1200, 1920])
def test_the_live_page_never_scrolls_sideways(visit, width):
    seen = visit(width)

    seen.page.goto("/c/demo/")

    assert not is_scrolled_sideways(seen.page)


def test_rounds_arrive_without_a_reload(visit):
    seen = visit()
    page = seen.page
    page.goto("/c/demo/")
    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    page.evaluate("window.notReloaded = true")
    count = round_count(page)
    seq = int(page.locator(LIVE).get_attribute("data-seq"))

    wait_for_round(page, count + 2)

    assert page.evaluate("window.notReloaded") is True
    assert int(page.locator(LIVE).get_attribute("data-seq")) > seq
    assert page.locator("#feed article").count() > 0
    assert page.locator("[id=board]").count() == page.locator("[id=feed]").count() == 1
    assert seen.complaints == []


def test_pushed_figures_are_those_of_a_fresh_page(visit):
    watching, fresh = visit().page, visit(script=False).page
    watching.goto("/c/demo/")
    expect(watching.locator(LIVE)).to_have_attribute("data-state", "live")
    wait_for_round(watching, round_count(watching) + 1)

    def figures(page: Page) -> list[tuple[str, str]]:
        cells = page.locator("[data-testid=board-row] [data-testid=equity]")
        return cells.evaluate_all(
            "cells => cells.map(cell => [cell.closest('tr').dataset.agent, cell.dataset.value])"
        )

    def told(page: Page) -> str:
        return page.locator("#pulse").get_attribute("data-seq")

    # Something may happen between the two looks; then look again.
    for _ in range(40):
        fresh.goto("/c/demo/")
        before, pushed = told(watching), figures(watching)
        if told(fresh) == before == told(watching):
            assert pushed == figures(fresh)
            return
        watching.wait_for_timeout(500)
    pytest.fail("the two pages were never at the same event")


def test_an_open_tab_and_open_reasons_stay_open_through_a_push(visit):
    page = visit().page
    page.goto("/c/demo/")
    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    page.locator("label[for=tab-p]").click()
    count = round_count(page)

    wait_for_round(page, count + 1)

    expect(page.locator("#pane-p")).to_be_visible()
    expect(page.locator("#pane-d")).to_be_hidden()


def test_the_feed_stays_still_for_a_reader_and_a_pill_counts_what_is_new(visit):
    page = visit(390).page
    page.goto("/c/demo/")
    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    page.locator("#feed article").nth(4).evaluate("entry => entry.scrollIntoView({block: 'start'})")
    first = page.locator("#feed article").first.get_attribute("id")

    expect(page.locator("#news")).to_be_visible()
    assert re.fullmatch(r"↑ \d+ new", page.locator("#news").inner_text())
    assert page.locator("#feed article").first.get_attribute("id") == first

    page.locator("#news").click()
    expect(page.locator("#news")).to_be_hidden()
    assert page.locator("#feed article").first.get_attribute("id") != first


def test_range_and_unit_are_kept_by_the_pushed_chart(visit):
    page = visit().page
    page.goto("/c/demo/?range=24h&unit=usdt")
    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    count = round_count(page)

    wait_for_round(page, count + 1)

    expect(page.locator("#h-eq")).to_have_text("Equity")
    expect(page.locator("#chart a[aria-current]").first).to_have_text("24 h")


def test_every_page_can_be_read_without_a_script(visit):
    page = visit(script=False).page

    page.goto("/c/demo/")
    assert page.locator("[data-testid=board-row]").count() == 8
    page.locator("label[for=tab-r]").click()
    expect(page.locator("#pane-r")).to_be_visible()
    page.get_by_role("link", name="USDT", exact=True).click()
    expect(page.locator("#h-eq")).to_have_text("Equity")
    page.get_by_role("link", name="Dark theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.url.endswith("?unit=usdt")


def test_a_place_that_does_not_exist(visit):
    page = visit().page

    assert page.goto("/c/nowhere/").status == 404
    expect(page.locator("h1")).to_have_text("There is nothing at this address")


@pytest.mark.parametrize("late", ["**/hx-ws*.js", "**/js/live*.js"])
def test_a_script_that_comes_late_still_finds_its_way(visit, late):
    page = visit().page

    def delay(route):
        page.wait_for_timeout(1_000)
        route.continue_()

    # htmx begins before its socket extension is there, or connects before the page's own module is.
    page.route(late, delay)
    page.goto("/c/demo/")

    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    wait_for_round(page, round_count(page) + 1)
