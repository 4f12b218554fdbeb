"""An arena without a single row is set up on the admin's pages alone."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from agents.models import Agent, PromptTemplate, Provider
from agents.services import ensure_defaults, ensure_template
from marketdata.models import Feed, Instrument
from marketdata.services import default_specs, ensure_instruments

DEFAULTS = {
    "/admin/agents/provider/": Provider,
    "/admin/agents/agent/": Agent,
    "/admin/marketdata/instrument/": Instrument,
}


def save(page):
    with page.expect_navigation():
        page.click("input[name=_save]")
    assert page.locator(".messagelist .success").count() == 1, page.inner_text("#content")


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_template_provider_agent_instrument_and_feed_are_made_in_a_browser(browser, live_server):
    root = get_user_model().objects.create_superuser("root", "", "correct horse battery")
    client = Client()
    client.force_login(root)
    context = browser.new_context(base_url=live_server.url)
    cookie = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    page = context.new_page()

    page.goto("/admin/agents/prompttemplate/add/")
    save(page)
    page.goto("/admin/agents/provider/add/")
    page.fill("#id_slug", "house")
    page.fill("#id_name", "House models")
    page.select_option("#id_kind", "OPENAI_COMPATIBLE")
    page.fill("#id_base_url", "http://127.0.0.1:9/v1")
    save(page)
    page.goto("/admin/agents/agent/add/")
    page.fill("#id_slug", "calm")
    page.fill("#id_name", "Calm")
    page.fill("#id_model", "house-1")
    for field in ("provider", "template"):
        page.click(f".field-{field} .select2-selection")
        page.click(".select2-results__option:not(.loading-results)")
    save(page)
    page.goto("/admin/marketdata/instrument/")
    page.click("text=Add the shipped instruments")
    page.wait_for_selector(".messagelist .success")
    page.goto("/admin/marketdata/feed/add/")
    page.fill("#id_slug", "made")
    page.fill("#id_name", "Made market")
    page.select_option("#id_kind", "SYNTHETIC")
    page.fill("#id_source", "made")
    save(page)
    context.close()

    agent = Agent.objects.select_related("provider", "template").get()
    assert (agent.provider.slug, agent.model, str(agent.template)) == (
        "house",
        "house-1",
        "arena-core v1",
    )
    assert (Instrument.objects.count(), Feed.objects.get().kind) == (8, "SYNTHETIC")


@pytest.mark.django_db
def test_a_template_made_of_the_form_as_it_comes_is_the_shipped_one(admin_client):
    form = admin_client.get("/admin/agents/prompttemplate/add/").context["adminform"].form
    fields = {name: form[name].value() for name in form.fields}
    # As browsers send line breaks.
    sent = {name: str(value).replace("\n", "\r\n") for name, value in fields.items()}

    answer = admin_client.post("/admin/agents/prompttemplate/add/", sent)

    made = PromptTemplate.objects.get()
    texts = made.text()
    assert answer.status_code == 302
    assert str(made) == "arena-core v1"
    made.delete()
    assert ensure_template().text() == texts


@pytest.mark.django_db
def test_the_next_version_begins_with_the_texts_of_the_one_that_was_looked_at(admin_client):
    first = PromptTemplate.objects.create(slug="mine", system="s1", market="m1", account="a1")
    PromptTemplate.objects.create(slug="mine", version=2, system="s2", market="m2", account="a2")
    ensure_template()

    page = admin_client.get(f"/admin/agents/prompttemplate/{first.pk}/change/").content.decode()
    link = f"/admin/agents/prompttemplate/add/?version_of={first.pk}"
    filled = admin_client.get(link).context["adminform"].form
    plain = admin_client.get("/admin/agents/prompttemplate/add/").context["adminform"].form
    strange = admin_client.get("/admin/agents/prompttemplate/add/?version_of=x")

    assert f'href="{link}"' in page
    assert [filled[name].value() for name in ("slug", "version", "system")] == ["mine", 3, "s1"]
    assert [plain[name].value() for name in ("slug", "version")] == ["arena-core", 2]
    assert strange.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "model"), DEFAULTS.items())
def test_a_button_adds_the_shipped_rows(admin_client, address, model):
    assert f'action="{address}add-defaults/"' in admin_client.get(address).content.decode()

    answer = admin_client.post(f"{address}add-defaults/", follow=True)

    count = model.objects.count()
    assert count >= 8
    assert f"{count} " in str(next(iter(answer.context["messages"])))
    assert LogEntry.objects.filter(content_type__model=model._meta.model_name).count() == count


@pytest.mark.django_db
def test_the_button_leaves_alone_what_is_there(admin_client):
    ensure_instruments(default_specs().values())
    ensure_defaults()
    Instrument.objects.filter(symbol="BTCUSDT").update(max_leverage=3)
    Instrument.objects.filter(symbol="ETHUSDT").delete()
    Provider.objects.filter(slug="openai").update(name="Mine")

    for address in DEFAULTS:
        admin_client.post(f"{address}add-defaults/")

    assert Instrument.objects.get(symbol="BTCUSDT").max_leverage == 3
    assert Instrument.objects.filter(symbol="ETHUSDT").exists()
    assert Provider.objects.get(slug="openai").name == "Mine"


@pytest.mark.django_db
@pytest.mark.parametrize("address", DEFAULTS)
def test_the_button_wants_a_post_a_token_and_the_right_to_add(client, address):
    looker = get_user_model().objects.create_user("mara", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(get_user_model().objects.create_superuser("root"))

    assert "add-defaults" not in client.get(address).content.decode()
    assert client.post(f"{address}add-defaults/").status_code == 403
    assert strict.get(f"{address}add-defaults/").headers["location"] == address
    assert strict.post(f"{address}add-defaults/").status_code == 403
    assert Client().post(f"{address}add-defaults/").status_code == 302
    assert not DEFAULTS[address].objects.exists()


@pytest.mark.django_db
def test_without_candles_the_form_of_a_replay_tells_how_to_get_them(admin_client):
    page = admin_client.post(
        "/admin/marketdata/feed/add/",
        {"slug": "r", "name": "R", "kind": "REPLAY", "source": "mine", "seed": 0, "spread_bps": 2},
    )

    told = page.content.decode()
    assert "bring files in with manage.py import_candles FOLDER" in told
    assert "or choose the synthetic market, which needs none" in told
