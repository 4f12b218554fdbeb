"""What is only to be looked at in the admin stays as it is, whatever a superuser's browser sends."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.forms.models import model_to_dict
from django.urls import reverse

from agents.models import Completion, Decision
from competitions.models import Leg, Turn
from marketdata.admin_readonly import ReadOnlyAdmin
from marketdata.models import FeedHealth, FundingRate, MarginTier
from tests.builders import STARTS_AT
from tests.competitions.played import play
from trading.models import Account, EquityPoint, Fill, Order, Position, Posting, TapeSegment

pytestmark = pytest.mark.django_db

READ_ONLY = [
    model for model, page in admin.site._registry.items() if isinstance(page, ReadOnlyAdmin)
]
APPS = {"agents", "competitions", "marketdata", "trading"}
# What the season below leaves no row of.
ROWLESS = {"AccessAttempt", "Gap", "Heartbeat", "Lease", "OperatorAct", "Trial"}


@pytest.fixture
def _rows(db):
    """Play a season, which writes nearly everything, and add the facts that it needs none of."""
    competition = play(rounds=2)
    instrument = competition.instruments.first()
    MarginTier.objects.create(
        instrument=instrument, version="1", maintenance_rate="0.01", max_leverage=5
    )
    FundingRate.objects.create(source="walk", symbol="BTCUSDT", at=STARTS_AT, rate="0.0001")
    FeedHealth.objects.get_or_create(feed=competition.feed)


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def everything(row):
    """Return a form's worth of values that differ from the row's."""
    return dict.fromkeys(model_to_dict(row), "1") | {"post": "yes", "_save": "Save"}


def test_ledger_orders_fills_answers_and_tape_are_among_them():
    wanted = {Account, Completion, Decision, EquityPoint, Fill, Leg, Order, Position, Posting}

    assert wanted | {TapeSegment, Turn} <= set(READ_ONLY)


def test_every_append_only_model_is_among_them():
    append_only = {model for model in admin.site._registry if getattr(model, "append_only", False)}

    assert append_only <= set(READ_ONLY)


def rows_of(model):
    return list(model._default_manager.order_by("pk").values())


@pytest.mark.usefixtures("_rows")
def test_nothing_is_added_by_page_or_by_post(admin_client):
    for model in READ_ONLY:
        before = rows_of(model)
        sent = everything(model._default_manager.first() or model())

        assert admin_client.get(url(model, "changelist")).status_code == 200, model
        assert admin_client.get(url(model, "add")).status_code == 403, model
        assert admin_client.post(url(model, "add"), sent).status_code == 403, model
        assert rows_of(model) == before, model
    assert not LogEntry.objects.exists()


@pytest.mark.usefixtures("_rows")
def test_rows_are_shown_and_neither_changed_nor_deleted(admin_client):
    shown = set()
    for model in READ_ONLY:
        row = model._default_manager.first()
        if row is None:
            continue
        shown.add(model.__name__)
        before = rows_of(model)
        change, delete = url(model, "change", row.pk), url(model, "delete", row.pk)
        page = admin_client.get(change)

        assert page.status_code == 200, model
        assert b'name="_save"' not in page.content, model
        assert admin_client.post(change, everything(row)).status_code == 403, model
        assert admin_client.get(delete).status_code == 403, model
        assert admin_client.post(delete, everything(row)).status_code == 403, model
        assert rows_of(model) == before, model
    assert {model.__name__ for model in READ_ONLY} - shown <= ROWLESS
    assert not LogEntry.objects.exists()


@pytest.mark.usefixtures("_rows")
def test_rows_are_not_deleted_in_bulk(admin_client):
    for model in READ_ONLY:
        pks = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)[:3]]
        wish = {"action": "delete_selected", ACTION_CHECKBOX_NAME: pks, "post": "yes"}
        before = rows_of(model)

        shown = admin_client.get(url(model, "changelist"))
        admin_client.post(url(model, "changelist"), wish)
        admin_client.post(url(model, "changelist"), {**wish, "select_across": "1"})

        assert b"delete_selected" not in shown.content, model
        assert rows_of(model) == before, model


def inlines():
    """Yield every read-only inline with the page that it stands on."""
    for page in admin.site._registry.values():
        for inline in page.inlines:
            if issubclass(inline, ReadOnlyAdmin):
                yield page, inline


def test_inlines_of_what_a_season_wrote_are_read_only():
    assert [inline.model for _, inline in inlines()] == [Leg]


@pytest.mark.usefixtures("_rows")
def test_an_inline_is_shown_and_takes_no_row(admin_client):
    leg = Leg.objects.first()
    before = rows_of(Leg)
    address = url(Turn, "change", leg.turn_id)

    shown = admin_client.get(address).content.decode()
    prefix = re.search(r'name="([^"]+)-TOTAL_FORMS"', shown)[1]
    sent = {
        f"{prefix}-TOTAL_FORMS": 2,
        f"{prefix}-INITIAL_FORMS": 1,
        f"{prefix}-0-id": str(leg.pk),
        f"{prefix}-0-verdict": "DENIED",
        f"{prefix}-0-DELETE": "on",
        f"{prefix}-1-index": 9,
    }

    assert leg.get_verdict_display() in shown
    assert f'name="{prefix}-0-verdict"' not in shown
    assert f'name="{prefix}-0-DELETE"' not in shown
    assert admin_client.post(address, sent).status_code == 403
    assert rows_of(Leg) == before


@pytest.mark.usefixtures("_rows")
def test_who_may_only_look_is_shown_every_page_without_a_field(client):
    looker = get_user_model().objects.create_user("mara", is_staff=True)
    looker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(looker)

    for model in admin.site._registry:
        row = model._default_manager.first()
        if row is None or model._meta.app_label not in APPS:
            continue
        address = url(model, "change", row.pk)
        page = client.get(address)

        assert page.status_code == 200, model
        assert b'name="_save"' not in page.content, model
        assert b'type="password"' not in page.content, model
        assert client.post(address, everything(row)).status_code == 403, model
