"""What roles are, who gives them, and what each lets an account see."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from competitions.models import AuditEvent, Competition
from competitions.models.competitions import CompetitionStatus, Visibility
from competitions.models.roles import CONTROL, Role
from competitions.selectors.roles import role_of
from competitions.selectors.seasons import listed_to, visible_to
from competitions.services.errors import ControlError
from competitions.services.roles import give_role
from tests.builders import baselines, make_season, make_synthetic_feed, make_user

pytestmark = pytest.mark.django_db


def give(user, role):
    return give_role(user, role, actor="root", now=timezone.now())


@pytest.fixture
def root():
    return User.objects.create_superuser("root")


def test_an_account_has_the_role_it_was_given_and_no_other(root):
    user = make_user("mara", "operator")
    assert (role_of(user), user.is_staff) == (Role.OPERATOR, True)

    user = give(user, Role.VIEWER)
    assert (role_of(user), user.is_staff) == (Role.VIEWER, False)

    user = give(user, None)
    assert (role_of(user), user.is_staff, user.groups.count()) == (None, False, 0)


def test_strangers_and_deactivated_accounts_have_no_role():
    user = make_user("mara", "administrator")
    user.is_active = False

    assert role_of(user) is None
    assert role_of(AnonymousUser()) is None
    assert role_of(None) is None
    assert not user.has_perm(CONTROL)


def test_a_superuser_is_an_administrator_until_the_role_is_taken(root):
    make_user("ada", "administrator")
    assert role_of(root) == Role.ADMINISTRATOR

    demoted = give(root, Role.OPERATOR)

    assert (role_of(demoted), demoted.is_superuser) == (Role.OPERATOR, False)


def test_the_last_administrator_stays_one():
    only = make_user("ada", "administrator")
    make_user("otto", "operator")
    asleep = make_user("zoe", "administrator")
    User.objects.filter(pk=asleep.pk).update(is_active=False)

    for role in (Role.OPERATOR, Role.VIEWER, None):
        with pytest.raises(ControlError, match="ada is the last administrator"):
            give(only, role)

    assert role_of(User.objects.get(pk=only.pk)) == Role.ADMINISTRATOR


def test_a_change_of_role_is_in_the_audit_log_and_no_change_is_not(root):
    user = make_user("mara")
    give(user, Role.OPERATOR)
    give(user, Role.OPERATOR)

    told = AuditEvent.objects.filter(action="role given")
    assert [(row.actor, row.subject) for row in told] == [("root", "mara")]


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        (None, set()),
        ("viewer", set()),
        ("operator", {"view", "control"}),
        ("administrator", {"view", "control", "change", "keys", "users"}),
    ],
)
def test_what_a_role_allows_in_the_admin(role, granted):
    permissions = {
        "view": "trading.view_order",
        "control": CONTROL,
        "change": "competitions.change_competition",
        "keys": "competitions.view_apikey",
        "users": "auth.view_user",
    }
    user = make_user("mara", role)

    assert {name for name, perm in permissions.items() if user.has_perm(perm)} == granted


@pytest.fixture
def seasons():
    """Make one season of each kind, and one private draft in which otto's participant takes part."""
    feed = make_synthetic_feed()
    for slug, visibility, status in (
        ("public", Visibility.PUBLIC, CompetitionStatus.SCHEDULED),
        ("unlisted", Visibility.UNLISTED, CompetitionStatus.SCHEDULED),
        ("private", Visibility.PRIVATE, CompetitionStatus.SCHEDULED),
        ("draft", Visibility.PUBLIC, CompetitionStatus.DRAFT),
        ("own", Visibility.PRIVATE, CompetitionStatus.DRAFT),
    ):
        make_season(slug, feed, [], visibility=visibility, status=status)
    otto = make_user("otto")
    agent = baselines("cash")[0]
    Competition.objects.get(slug="own").participants.create(
        ordinal=1, slug="cash", name="Cash", agent=agent, owner=otto
    )
    return otto


ALL = {"public", "unlisted", "private", "draft", "own"}


@pytest.mark.parametrize(
    ("role", "seen", "listed"),
    [
        (None, {"public", "unlisted"}, {"public"}),
        ("viewer", {"public", "unlisted", "private"}, {"public", "private"}),
        ("operator", ALL, ALL),
        ("administrator", ALL, ALL),
    ],
)
def test_what_a_role_sees(seasons, role, seen, listed):
    user = make_user("mara", role)

    assert set(visible_to(user).values_list("slug", flat=True)) == seen
    assert set(listed_to(user).values_list("slug", flat=True)) == listed


def test_who_owns_a_participant_sees_its_season_whatever_it_is(seasons):
    assert set(visible_to(seasons).values_list("slug", flat=True)) == {"public", "unlisted", "own"}
    assert set(listed_to(seasons).values_list("slug", flat=True)) == {"public", "own"}

    # A key that may not read all that its owner may.
    operator = give(seasons, Role.OPERATOR)
    own = visible_to(operator, own_only=True).values_list("slug", flat=True)
    assert set(own) == {"public", "unlisted", "own"}


def test_home_shows_private_seasons_to_who_may_see_them(client, seasons):
    assert "private" not in client.get("/").content.decode().lower()

    client.force_login(make_user("vera", "viewer"))
    page = client.get("/").content.decode()

    assert 'data-slug="private"' in page
    assert 'data-testid="seen-by">Private<' in page
