"""Lists of tables that grow with every round: opened without counting them to their end."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from marketdata.models import Instrument

MOST_COUNTED = 100_000


class BoundedPaginator(Paginator[Any]):
    """Pages over the first ``MOST_COUNTED`` rows; whether there are more is known, how many is not asked."""

    @cached_property
    def counted(self) -> int:
        rows: Any = self.object_list
        found: int = rows.order_by().values("pk")[: MOST_COUNTED + 1].count()
        return found

    @property
    def is_cut(self) -> bool:
        return self.counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        return min(self.counted, MOST_COUNTED)


class LongChangeList(ChangeList):
    """A list that says so when it ends before its table does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if cast(BoundedPaginator, self.paginator).is_cut:
            self.title += f" (the first {MOST_COUNTED:,}; search or filter for others)"


class LongList:
    """Mixin for a ModelAdmin of a table without end: put it before ModelAdmin.

    Give it an ``ordering`` with an index, and no filter that asks for all values of a column.
    """

    paginator: type[Any] = BoundedPaginator
    show_full_result_count = False
    # Facets would count every choice of every filter.
    show_facets = admin.ShowFacets.NEVER

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LongChangeList


class SymbolFilter(SimpleListFilter):
    """Offers the instruments' symbols, instead of asking a long table for all that it holds."""

    title = "symbol"
    parameter_name = "symbol"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        symbols = Instrument.objects.order_by("symbol").values_list("symbol", flat=True)
        return [(symbol, symbol) for symbol in symbols]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(symbol=self.value()) if self.value() else queryset
