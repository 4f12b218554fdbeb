"""A malformed form is answered with a page, never with an error of the server."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from competitions.models import Competition
from tests.builders import baselines, make_instruments, make_synthetic_feed, store_market
from tests.competitions.test_pages_admin import ADD, form

FIELDS = [
    *(name for name in form() if not name.startswith("participants")),
    "max_rounds",
    "max_participants",
    "starts_at_0",
    "starts_at_1",
    "ends_at_0",
    "ends_at_1",
    "description",
]
ROSTER = [
    "participants-TOTAL_FORMS",
    "participants-INITIAL_FORMS",
    "participants-0-id",
    "participants-0-agent",
    "participants-0-ordinal",
    "participants-0-name",
    "participants-0-slug",
    "participants-0-DELETE",
    "participants-0-competition",
]
JUNK = [
    "",
    " ",
    "x",
    "-1",
    "0",
    "0.5",
    "1e999999",
    "-1e999999",
    "NaN",
    "Infinity",
    "9" * 30,
    "9" * 5000,
    "9223372036854775807",
    "99999999999",
    "\x00",
    "🚀",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "9999-12-31",
    "0001-01-01",
    "2026-13-45",
    "24:61",
    "null",
    "[]",
    '{"a": 1}',
    "WALL",
    "DATA",
]


# Of these one alone, among right values, gets furthest.
ALONE = ["x", "9" * 30]


class JunkTest(TestCase):
    """Hypothesis runs each example in a transaction of its own.

    What they share is made once for the class: ``setUp`` of a test with examples runs outside their transactions, and would leave its
    rows to the next test.
    """

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = get_user_model().objects.create_superuser("root", "", "x")
        cls.instruments = [row.pk for row in make_instruments(("BTCUSDT", "ETHUSDT"))]
        cls.feeds = [
            make_synthetic_feed().pk,
            store_market(120, symbols=("BTCUSDT", "ETHUSDT")).pk,
        ]
        cls.roster = baselines("cash")

    def send(self, **changes: object) -> int:
        client = Client()
        client.force_login(self.user)
        right = {"feed": self.feeds[0], "instruments": self.instruments}
        return client.post(ADD, form(self.roster, **{**right, **changes})).status_code

    def test_junk_in_one_field(self) -> None:
        for name in [*FIELDS, *ROSTER]:
            for junk in ALONE:
                with self.subTest(field=name, junk=junk[:40]):
                    assert self.send(**{name: junk}) in {200, 302}
                    # One that was saved keeps its address from the next.
                    Competition.objects.all().delete()

    def test_junk_in_every_field(self) -> None:
        for junk in JUNK:
            with self.subTest(junk=junk[:40]):
                assert self.send(**dict.fromkeys([*FIELDS, *ROSTER], junk)) == 200

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(
        st.dictionaries(
            st.sampled_from([*FIELDS, *ROSTER]),
            st.one_of(st.sampled_from(JUNK), st.text(max_size=20)),
            min_size=2,
            max_size=8,
        ),
        st.integers(0, 1),
    )
    def test_junk_in_several_fields_at_once(self, changes: dict[str, str], feed: int) -> None:
        wanted = {"feed": self.feeds[feed], **changes}
        # A browser sends text that can be written as UTF-8.
        wanted = {
            name: str(text).encode("utf-8", "replace").decode() for name, text in wanted.items()
        }

        assert self.send(**wanted) in {200, 302}
