"""The trading side in the admin: everything can be read, nothing can be changed."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.trading.builders import T0, D, quote
from tests.trading.ledger import account_of, make_book, place, tell
from trading import models, services
from trading.models.books import ActKind, BookState

pytestmark = pytest.mark.django_db

MODELS = [getattr(models, name) for name in models.__all__]


@pytest.fixture
def _rows() -> None:
    book = make_book()
    place(account_of(book), "OPEN_LONG", quantity=D(2))
    place(account_of(book), "OPEN_LONG", quantity=D(1000))
    tell(book, quote("100"))
    services.record_equity(book.pk, number=1, at=T0, marks={"XUSDT": D(100)}, now=T0)
    services.change_state(
        book.pk, to=BookState.PAUSED, kind=ActKind.PAUSE, actor="op", market_at=T0, now=T0
    )


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("model", MODELS)
def test_rows_are_listed_and_shown_and_nothing_more(model, admin_client):
    row = model.objects.first()
    name = f"admin:trading_{model._meta.model_name}"
    assert admin_client.get(reverse(f"{name}_changelist")).status_code == 200
    page = admin_client.get(reverse(f"{name}_change", args=[row.pk]))
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert admin_client.get(reverse(f"{name}_add")).status_code == 403
    assert admin_client.post(reverse(f"{name}_delete", args=[row.pk])).status_code == 403


@pytest.mark.usefixtures("_rows")
def test_a_refused_order_tells_why(admin_client):
    page = admin_client.get(reverse("admin:trading_order_changelist"))
    assert b"INSUFFICIENT_MARGIN free=9799.90 needed=100050.00" in page.content


def test_every_model_is_registered():
    assert all(admin.site.is_registered(model) for model in MODELS)
