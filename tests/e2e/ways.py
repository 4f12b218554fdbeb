"""What both spectators and operators do in these tests."""

from __future__ import annotations

from playwright.sync_api import Page, expect

LIVE = "[data-testid=live]"


def log_in(page: Page, password: str) -> None:
    page.goto("/ops/")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("h1")).to_have_text("Operator console")


def watch(visit) -> Page:
    page = visit().page
    page.goto("/c/demo/")
    expect(page.locator(LIVE)).to_have_attribute("data-state", "live")
    page.evaluate("window.notReloaded = true")
    return page
