"""The operator's way: log in, pause, resume; and what spectators see of it."""

from __future__ import annotations

import signal

import pytest
from playwright.sync_api import expect

from tests.e2e.ways import LIVE, log_in, watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def test_pause_and_resume_reach_open_pages(visit, server):
    spectator, operator = watch(visit), visit()
    log_in(operator.page, server.password)

    operator.page.get_by_role("button", name="Pause now").click()
    expect(operator.page.locator("[data-testid=message]")).to_contain_text("is paused")
    expect(spectator.locator("#title .pill")).to_have_text("Paused")
    expect(spectator.locator("#notice")).to_contain_text("Paused.")

    operator.page.get_by_role("button", name="Resume").click()
    expect(spectator.locator("#title .pill")).to_have_text("Running")
    assert spectator.evaluate("window.notReloaded") is True
    assert operator.complaints == []


def test_health_tiles_are_fresh(visit, server):
    operator = visit()
    log_in(operator.page, server.password)

    for name in ("Clock", "Sweeper", "Feeds"):
        tile = operator.page.locator("[data-testid=tile]", has_text=name)
        expect(tile).to_have_attribute("data-h", "ok", timeout=10_000)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_lost_server_is_told_and_found_again(visit, server, how):
    spectator = watch(visit)

    server.stop(how)
    expect(spectator.locator(LIVE)).to_have_attribute("data-state", "reconnecting")
    seq = int(spectator.locator("#pulse").get_attribute("data-seq"))

    server.start()
    expect(spectator.locator(LIVE)).to_have_attribute("data-state", "live", timeout=30_000)
    for _ in range(60):
        if int(spectator.locator("#pulse").get_attribute("data-seq")) > seq:
            break
        spectator.wait_for_timeout(500)
    else:
        pytest.fail(f"nothing came after event {seq}")
    assert spectator.evaluate("window.notReloaded") is True
