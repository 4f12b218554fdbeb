"""The emergency close, on a server of its own, since it ends the season."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.ways import LIVE, log_in, watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_emergency_close_at_a_phone_ends_the_season_everywhere(visit, server):
    spectator, operator = watch(visit), visit(390, "dark")
    log_in(operator.page, server.password)

    operator.page.get_by_role("link", name="Emergency close").click()
    expect(operator.page.locator(".ask")).to_contain_text("Close Demo season now?")
    overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not operator.page.evaluate(overflow)
    operator.page.get_by_role("button", name="and halt").click()

    expect(operator.page.locator("[data-testid=flat]")).to_contain_text("Nothing is open any more.")
    expect(spectator.locator(LIVE)).to_have_attribute("data-state", "ended")
    expect(spectator.locator("#notice")).to_contain_text("was stopped")
    expect(spectator.locator("#tabs [for=tab-p] span")).to_have_text("0")
    # What may still follow has followed: the socket is closed for good.
    expect(spectator.locator("#socket")).to_have_count(0, timeout=40_000)
    assert operator.complaints == []
