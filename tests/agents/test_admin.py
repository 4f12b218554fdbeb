from __future__ import annotations

import pytest
from django.urls import reverse

from agents.models import Agent, Completion, PromptTemplate, Provider
from agents.services import ensure_defaults, lock_template
from tests.agents.contexts import AS_OF
from tests.agents.test_answers import decide, make_raw, record

pytestmark = pytest.mark.django_db


@pytest.fixture
def _rows() -> None:
    ensure_defaults()
    agent = Agent.objects.select_related("provider", "template").get(slug="gpt-6")
    decide(agent, record(agent, make_raw(text="<script>alert(1)</script>")))


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("name", ["provider", "prompttemplate", "agent", "completion", "decision"])
def test_lists_and_forms_open(admin_client, name):
    listing = admin_client.get(reverse(f"admin:agents_{name}_changelist"))
    assert listing.status_code == 200

    model = {"provider": Provider, "prompttemplate": PromptTemplate, "agent": Agent}.get(name)
    if model:
        assert admin_client.get(reverse(f"admin:agents_{name}_add")).status_code == 200
        row = model.objects.first()
        form = admin_client.get(reverse(f"admin:agents_{name}_change", args=[row.pk]))
        assert form.status_code == 200


@pytest.mark.usefixtures("_rows")
def test_a_model_s_text_is_shown_escaped_and_read_only(admin_client):
    pk = Completion.objects.get().pk
    page = admin_client.get(reverse("admin:agents_completion_change", args=[pk])).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert admin_client.get(reverse("admin:agents_completion_add")).status_code == 403
    delete = reverse("admin:agents_completion_delete", args=[pk])
    assert admin_client.post(delete, {"post": "yes"}).status_code == 403


@pytest.mark.usefixtures("_rows")
def test_a_locked_template_is_read_only(admin_client):
    template = PromptTemplate.objects.get()
    lock_template(template, AS_OF)
    url = reverse("admin:agents_prompttemplate_change", args=[template.pk])

    assert admin_client.post(url, {"system": "Buy!"}).status_code == 403
    assert "Buy!" not in PromptTemplate.objects.get().system


@pytest.mark.usefixtures("_rows")
def test_a_template_with_an_unknown_placeholder_is_refused_with_its_name(admin_client):
    page = admin_client.post(
        reverse("admin:agents_prompttemplate_add"),
        {"slug": "mine", "version": 1, "system": "{{ profit }}", "market": "m", "account": "a"},
    )

    assert page.status_code == 200
    assert list(page.context["adminform"].form.errors) == ["system"]
    assert "unknown placeholder {{ profit }}" in page.content.decode()


@pytest.mark.usefixtures("_rows")
def test_parameters_that_are_left_out_are_told_when_an_agent_is_saved(admin_client):
    agent = Agent.objects.get(slug="claude-sonnet-5-5")
    page = admin_client.post(
        reverse("admin:agents_agent_change", args=[agent.pk]),
        {
            "slug": agent.slug,
            "name": agent.name,
            "provider": agent.provider_id,
            "model": agent.model,
            "parameters": '{"temperature": 0.7}',
            "template": agent.template_id,
            "timeout_seconds": 45,
            "is_enabled": "on",
        },
        follow=True,
    )

    assert "Anthropic does not take temperature" in page.content.decode()
    agent.refresh_from_db()
    assert agent.parameters == {"temperature": 0.7}


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"parameters": '{"temprature": 1}'}, "parameters", "temprature is not a known parameter"),
        ({"parameters": '{"temperature": 3}'}, "parameters", "a number from 0 to 2, was 3"),
        ({"parameters": '{"max_tokens": 0}'}, "parameters", "from 1 to 128000, was 0"),
        ({"parameters": "{temperature: 1}"}, "parameters", "not JSON at line 1, column 2"),
        ({"parameters": '"0.7"'}, "parameters", "must be a JSON object, was str"),
        ({"parameters": "[" * 5000}, "parameters", "wanted an object such as"),
        ({"timeout_seconds": 901}, "timeout_seconds", "less than or equal to 900"),
        ({"timeout_seconds": 0}, "timeout_seconds", "greater than or equal to 1"),
        ({"provider": "baseline", "model": "gpt-6"}, "model", "must be one of buy_and_hold, cash"),
    ],
)
def test_an_agent_that_could_not_play_is_refused_where_it_was_set_up(
    admin_client, changes, field, words
):
    fields = {
        "slug": "new",
        "name": "New",
        "provider": "openai",
        "model": "gpt-6-sol",
        "parameters": "",
        "template": PromptTemplate.objects.get().pk,
        "timeout_seconds": 45,
        **changes,
    }
    fields["provider"] = Provider.objects.get(slug=fields["provider"]).pk

    page = admin_client.post(reverse("admin:agents_agent_add"), fields)

    errors = page.context["adminform"].form.errors
    assert list(errors) == [field]
    assert words in str(errors.as_data()[field])
    assert not Agent.objects.filter(slug="new").exists()


@pytest.mark.usefixtures("_rows")
def test_an_agent_without_parameters_can_be_added(admin_client):
    fields = {
        "slug": "new",
        "name": "New",
        "provider": Provider.objects.get(slug="openai").pk,
        "model": "gpt-6-sol",
        "parameters": "",
        "template": PromptTemplate.objects.get().pk,
        "timeout_seconds": 45,
    }

    assert admin_client.post(reverse("admin:agents_agent_add"), fields).status_code == 302
    assert Agent.objects.get(slug="new").parameters == {}
