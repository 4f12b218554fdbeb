"""Accounts in the admin: a role, a password, and never nobody who sets things up."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from competitions.models import AuditEvent
from competitions.models.roles import Role
from competitions.selectors.roles import held_role, role_of
from competitions.services.errors import ControlError
from competitions.services.roles import remove_account, set_active
from tests.builders import make_user
from tests.competitions.test_pages_season import text_of

pytestmark = pytest.mark.django_db

LIST = "/admin/auth/user/"
ADD = f"{LIST}add/"
PASSWORD = "correct horse battery staple"
NOW = timezone.now()


@pytest.fixture
def ada(client: Client) -> User:
    """Sign in as the only administrator."""
    user = make_user("ada", "administrator")
    client.force_login(user)
    return user


def page_of(user: User) -> str:
    return f"{LIST}{user.pk}/change/"


def change(client, user, **changes):
    """Send the form of an account as it is, but for ``changes``; None leaves a field out."""
    sent = {
        "username": user.username,
        "email": "",
        "role": held_role(user) or "",
        "is_active": "on" if user.is_active else None,
        **changes,
    }
    return client.post(
        page_of(user), {name: value for name, value in sent.items() if value is not None}
    )


def again(user: User) -> User:
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(
    ("role", "is_staff"),
    [("", False), ("viewer", False), ("operator", True), ("administrator", True)],
)
def test_a_new_account_has_the_chosen_role(client, ada, role, is_staff):
    sent = {"username": "mara", "password1": PASSWORD, "password2": PASSWORD, "role": role}

    client.post(ADD, {**sent, "usable_password": "true"})

    made = User.objects.get(username="mara")
    assert (role_of(made), made.is_staff, made.is_superuser) == (role or None, is_staff, False)
    assert made.check_password(PASSWORD)
    assert ("ada", "account made", "mara") in AuditEvent.objects.values_list(
        "actor", "action", "subject"
    )
    assert LogEntry.objects.filter(object_repr="mara").exists()
    assert PASSWORD not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("password", ["short", "password1234", "123456789012", "mara-mara-mara"])
def test_a_weak_password_is_refused(client, ada, password):
    sent = {"username": "mara-mara", "password1": password, "password2": password, "role": ""}

    answer = client.post(ADD, {**sent, "usable_password": "true"})

    assert answer.status_code == 200
    assert not User.objects.filter(username="mara-mara").exists()


def test_a_change_of_role_is_given_and_on_record(client, ada):
    mara = make_user("mara", "viewer")

    change(client, mara, role="operator")

    assert (role_of(again(mara)), again(mara).is_staff) == (Role.OPERATOR, True)
    entry = AuditEvent.objects.filter(action="role given").order_by("seq").last()
    assert (entry.actor, entry.subject, entry.detail) == (
        "ada",
        "mara",
        {"role": "operator", "before": "viewer"},
    )


@pytest.mark.parametrize(
    "changes", [{"role": "operator"}, {"role": ""}, {"is_active": None}, {"role": "junk"}]
)
def test_nobody_takes_their_own_right_to_set_things_up(client, ada, changes):
    make_user("zoe", "administrator")

    answer = change(client, ada, **changes)

    assert answer.status_code == 200
    assert role_of(again(ada)) == Role.ADMINISTRATOR


def test_an_administrator_may_take_it_from_another(client, ada):
    zoe = make_user("zoe", "administrator")

    change(client, zoe, is_active=None)
    assert not again(zoe).is_active
    assert held_role(again(zoe)) == Role.ADMINISTRATOR
    change(client, again(zoe), role="viewer")
    assert held_role(again(zoe)) == Role.VIEWER
    acts = AuditEvent.objects.filter(subject="zoe").order_by("seq").values_list("action", flat=True)
    assert list(acts)[-2:] == ["account closed", "role given"]


def test_the_last_administrator_is_neither_closed_nor_removed():
    ada = make_user("ada", "administrator")

    with pytest.raises(ControlError, match="ada is the last administrator"):
        set_active(ada, is_active=False, actor="x", now=NOW)
    with pytest.raises(ControlError, match="ada is the last administrator"):
        remove_account(ada, actor="x", now=NOW)

    assert again(ada).is_active


def test_what_a_service_refuses_is_told_and_not_half_stored(client, ada, monkeypatch):
    # Another administrator left between the form's look and the service's.
    def refuse(*args, **kwargs):
        raise ControlError("mara is the last administrator")

    mara = make_user("mara", "viewer")
    monkeypatch.setattr("competitions.admin.users.give_role", refuse)

    answer = change(client, mara, role="operator", email="mara@example.org")

    assert answer["location"] == page_of(mara)
    assert "Nothing was changed: mara is the last administrator." in text_of(client.get(LIST))
    assert again(mara).email == ""


def test_an_account_is_deleted_but_not_ones_own(client, ada):
    mara = make_user("mara", "operator")

    client.post(f"{LIST}{mara.pk}/delete/", {"post": "yes"})
    own = client.post(f"{LIST}{ada.pk}/delete/", {"post": "yes"})

    assert own.status_code == 403
    assert list(User.objects.values_list("username", flat=True)) == ["ada"]
    assert AuditEvent.objects.filter(action="account removed", subject="mara").exists()
    assert "delete_selected" not in client.get(LIST).content.decode()


def test_a_password_is_set_on_its_own_page_and_on_record(client, ada):
    mara = make_user("mara", "viewer")
    sent = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}

    client.post(f"{LIST}{mara.pk}/password/", sent)

    assert again(mara).check_password(PASSWORD)
    assert AuditEvent.objects.filter(action="password set", subject="mara", actor="ada").exists()


def test_no_single_permission_can_be_picked_or_sent(client, ada):
    mara = make_user("mara", "viewer")
    page = client.get(page_of(mara)).content.decode()
    for name in ("user_permissions", "is_superuser", "is_staff", "groups"):
        assert f'name="{name}"' not in page

    group = Group.objects.create(name="other")
    change(client, mara, is_superuser="on", is_staff="on", groups=str(group.pk))

    assert (again(mara).is_superuser, again(mara).is_staff) == (False, False)
    assert held_role(again(mara)) == Role.VIEWER
    with pytest.raises(NoReverseMatch):
        reverse("admin:auth_group_changelist")


def test_an_operator_sees_no_accounts(client):
    client.force_login(make_user("otto", "operator"))

    assert client.get(LIST).status_code == 403
    assert client.post(ADD, {"username": "x"}).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator", "none"])
def test_accounts_are_filtered_by_role(client, ada, role):
    make_user("vera", "viewer")
    make_user("otto", "operator")
    make_user("nemo")
    User.objects.create_superuser("root")

    page = client.get(f"{LIST}?role={role}")

    found = {row.username for row in page.context["cl"].result_list}
    wanted = {"viewer": {"vera"}, "operator": {"otto"}, "none": {"nemo"}}
    assert found == wanted.get(role, {"ada", "root"})


def test_the_list_asks_as_often_for_many_accounts_as_for_few(client, ada):
    client.get(LIST)
    with CaptureQueriesContext(connection) as few:
        client.get(LIST)
    for number in range(50):
        make_user(f"user-{number}", "viewer")
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)

    assert len(many) == len(few) <= 12
