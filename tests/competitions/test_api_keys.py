"""Keys of the API: shown once, kept as hashes, never stronger than their owners, revoked at once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model

from competitions.models import ApiKey, AuditEvent
from competitions.models.access import Scope
from competitions.services.access import find_api_key, make_api_key, revoke_api_key
from competitions.services.errors import ControlError
from marketdata.domain.canonical import sha256_text
from tests.builders import make_user

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def mara():
    return make_user("mara", "administrator")


def make(owner, scopes=(Scope.READ,), **wishes):
    return make_api_key("export", owner=owner, scopes=scopes, actor="mara", now=NOW, **wishes)


def test_a_key_is_kept_as_a_hash_and_found_by_its_text(mara):
    made = make(mara)

    first, prefix, secret = made.token.split("_", 2)
    assert (first, len(prefix), len(secret)) == ("arena", 8, 43)  # 32 bytes are 43 characters
    assert ApiKey.objects.get().digest == sha256_text(secret)
    assert secret not in str(ApiKey.objects.values().get())
    found = find_api_key(made.token, now=NOW)
    assert found == made.row
    assert found.owner == mara


def test_making_and_revoking_are_in_the_audit_log(mara):
    made = make(mara)
    revoke_api_key(made.row, actor="root", now=NOW)

    acts = list(AuditEvent.objects.order_by("seq").values_list("actor", "action"))
    acts.remove(("test", "role given"))
    assert acts == [("mara", "API key made"), ("root", "API key revoked")]
    assert made.token[14:] not in str(list(AuditEvent.objects.values()))


def test_anything_but_the_right_key_is_refused(mara):
    token = make(mara).token

    for wrong in ("", "arena", "arena__", token[:-1], token + "x", token.upper(), "x" + token):
        assert find_api_key(wrong, now=NOW) is None, wrong


def test_a_revoked_key_opens_nothing_from_then_on(mara):
    made = make(mara)

    assert revoke_api_key(made.row, actor="mara", now=NOW)
    assert find_api_key(made.token, now=NOW) is None
    assert not revoke_api_key(made.row, actor="mara", now=NOW)


def test_a_key_ends_at_its_time(mara):
    token = make(mara, expires_at=NOW + timedelta(hours=1)).token

    assert find_api_key(token, now=NOW + timedelta(minutes=59)) is not None
    assert find_api_key(token, now=NOW + timedelta(minutes=60)) is None


def test_the_key_of_a_disabled_user_opens_nothing(mara):
    token = make(mara).token
    mara.is_active = False
    mara.save()

    assert find_api_key(token, now=NOW) is None


def test_use_is_noted_to_the_minute(mara):
    token = make(mara).token

    for seconds in (0, 30, 90):
        find_api_key(token, now=NOW + timedelta(seconds=seconds))

    # The use after 30 s is within the minute of the first.
    assert ApiKey.objects.get().last_used_at == NOW + timedelta(seconds=90)


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        ([Scope.READ], {Scope.READ}),
        ([Scope.CONTROL], {Scope.READ, Scope.CONTROL}),
        ([Scope.ADMIN], {Scope.READ, Scope.CONTROL, Scope.ADMIN}),
    ],
)
def test_scopes_bring_lesser_ones_along(mara, scopes, granted):
    row = make(mara, scopes).row

    assert {scope for scope in Scope if row.grants(scope)} == granted


def test_a_key_is_refused_more_than_its_owner_may():
    viewer = get_user_model().objects.create_user("vera")

    with pytest.raises(
        ControlError,
        match="CONTROL needs an owner who is administrator or operator, vera is without a role",
    ):
        make(viewer, [Scope.CONTROL])
    with pytest.raises(ControlError, match="READ, CONTROL, ADMIN, PARTICIPANT, was none"):
        make(viewer, [])
    with pytest.raises(ControlError, match="was ROOT"):
        make(viewer, ["ROOT"])
    with pytest.raises(ControlError, match="in the future"):
        make(viewer, expires_at=NOW)
    assert not ApiKey.objects.exists()


# --- in the admin --------------------------------------------------------------------------------

ADD = "/admin/competitions/apikey/add/"


@pytest.fixture
def root(client):
    client.force_login(get_user_model().objects.create_superuser("root", "", "x"))
    return client


def test_the_admin_shows_a_new_key_once(root, mara):
    answer = root.post(ADD, {"name": "export", "owner": mara.pk, "scopes": ["READ", "CONTROL"]})

    body = answer.content.decode()
    token = re.search(r"arena_[0-9a-f]{8}_[\w-]{43}", body).group()
    assert "no-store" in answer["Cache-Control"]
    row = ApiKey.objects.get()
    assert (row.scopes, row.owner) == (["CONTROL", "READ"], mara)
    assert find_api_key(token, now=row.created_at) == row
    secret = token.split("_", 2)[2]
    for page in ("/admin/competitions/apikey/", f"/admin/competitions/apikey/{row.pk}/change/"):
        later = root.get(page)
        assert later.status_code == 200
        assert secret not in later.content.decode()
        assert row.digest not in later.content.decode()


def test_the_admin_tells_a_mistake_where_it_is_made(root):
    viewer = get_user_model().objects.create_user("vera")

    answer = root.post(ADD, {"name": "export", "owner": viewer.pk, "scopes": ["ADMIN"]})

    assert "vera is without a role" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_the_admin_revokes_and_neither_changes_nor_deletes(root, mara):
    made = make(mara)
    page = f"/admin/competitions/apikey/{made.row.pk}"

    assert root.post(f"{page}/change/", {"name": "other"}).status_code == 403
    assert root.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    root.post(
        "/admin/competitions/apikey/", {"action": "revoke", "_selected_action": [made.row.pk]}
    )

    assert find_api_key(made.token, now=NOW) is None
    assert ApiKey.objects.get().name == "export"
