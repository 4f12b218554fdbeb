"""Login, second factor and account as a person at a phone meets them, with and without a script."""

from __future__ import annotations

import base64

import pytest
from django_otp.oath import totp
from playwright.sync_api import Page, expect

from tests.e2e.ways import log_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

OVERFLOW = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def code_of(letters: str, *, steps: int = 0) -> str:
    return f"{totp(base64.b32decode(letters.replace(' ', '')), drift=steps):06d}"


def sign_in(page: Page, password: str) -> None:
    page.goto("/login/")
    page.get_by_label("Name").fill("operator")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize(
    ("width", "theme", "script"), [(390, "dark", True), (1440, "light", False)]
)
def test_a_second_factor_is_set_up_used_and_taken_away(visit, server, width, theme, script):
    first = visit(width, theme, script=script)
    page = first.page
    log_in(page, server.password)

    page.get_by_role("link", name="Account").click()
    assert not page.evaluate(OVERFLOW)
    page.get_by_role("link", name="Set it up").click()
    picture = page.get_by_role("img", name="QR code")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 0
    assert not page.evaluate(OVERFLOW)
    letters = page.get_by_test_id("letters").inner_text()
    page.get_by_label("The code of six digits").fill(code_of(letters))
    page.get_by_role("button", name="Set it up").click()
    codes = page.get_by_test_id("backup-code")
    expect(codes).to_have_count(10)
    backup = codes.first.inner_text()
    assert not page.evaluate(OVERFLOW)
    page.get_by_role("link", name="They are kept, go on").click()
    expect(page.locator("main")).to_contain_text("10 backup codes left")

    second = visit(width, theme, script=script)
    sign_in(second.page, server.password)
    expect(second.page.locator("h1")).to_have_text("Second step")
    assert not second.page.evaluate(OVERFLOW)
    second.page.get_by_label("Code").fill(backup)
    second.page.get_by_role("button", name="Go on").click()
    expect(second.page.locator("h1")).to_have_text("Operator console")

    page.get_by_role("link", name="Take it away").click()
    page.get_by_role("button", name="Take it away").click()
    expect(page.get_by_test_id("message")).to_contain_text("the password alone")
    assert first.complaints == []
    assert second.complaints == []


def test_too_many_wrong_passwords_are_told_in_our_own_look(visit, server):
    stranger = visit(390)
    for _ in range(5):
        stranger.page.goto("/login/")
        stranger.page.get_by_label("Name").fill("nobody")
        stranger.page.get_by_label("Password").fill("wrong")
        stranger.page.get_by_role("button", name="Sign in").click()

    expect(stranger.page.locator("h1")).to_have_text("Too many wrong tries")
    assert not stranger.page.evaluate(OVERFLOW)
    assert "429" in stranger.page.locator("main").inner_text()
