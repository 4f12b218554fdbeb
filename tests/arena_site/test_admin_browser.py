"""The admin works under a policy that allows nothing inline."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def admin_page(browser, live_server):
    """Yield a page that is logged in, and the complaints its console has made."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root", "", "secret"))
    context = browser.new_context(base_url=live_server.url)
    context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page, complaints
    context.close()


def test_no_admin_page_breaks_the_policy(admin_page):
    page, complaints = admin_page
    addresses = [reverse("admin:index"), reverse("admin:password_change")]
    for model, model_admin in admin.site._registry.items():
        label = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        addresses.append(reverse(f"{label}_changelist"))
        add = type(model_admin).has_add_permission
        if add is admin.ModelAdmin.has_add_permission:
            addresses.append(reverse(f"{label}_add"))

    for address in addresses:
        answer = page.goto(address)
        assert answer.status == 200, address
        assert "unsafe" not in answer.headers["content-security-policy"]
    assert len(addresses) >= 6
    assert complaints == []


def test_the_admins_own_scripts_run(admin_page):
    page, complaints = admin_page

    page.goto(reverse("admin:competitions_competition_add"))

    # The two-column chooser is built by a script.
    page.wait_for_selector(".selector-available input")
    assert complaints == []


def test_an_inline_script_does_not_run(admin_page):
    page, complaints = admin_page
    page.goto(reverse("admin:index"))

    page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.ran = true'; document.body.append(s); }"
    )

    assert page.evaluate("() => window.ran") is None
    assert any("Content Security Policy" in text for text in complaints)
