"""How pages write prices, codes and times."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from satchel.config import Serve
from satchel.locate.card import CATEGORIES
from satchel.translations import translations
from satchel.web.formats import good, model, moment, value

AT = datetime(2026, 11, 30, 15, 4)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("price", "1890000", "1,890,000"),
        ("price", "1,890,000원", "₩1,890,000"),
        ("가격", "₩ 1890000", "₩1,890,000"),
        ("price_krw", "1890000", "₩1,890,000"),
        ("retail price", "1250.50", "1,250.5"),
        ("price", "on request", "on request"),
        ("price", "1890000 / 2100000", "1890000 / 2100000"),
        ("price", "1" * 40, "1" * 40),
        ("barcode", "8801234567890", "8801234567890"),
        ("year", "2019", "2019"),
        ("size", "250 원단", "250 원단"),
    ],
)
def test_values(name, text, shown):
    assert value(name, text) == shown


def test_the_shops_currency_is_for_prices_that_name_none():
    assert value("price", "1890000", currency="KRW") == "₩1,890,000"
    assert value("price", "1890", currency="USD") == "USD 1,890"
    assert value("price", "1890원", currency="USD") == "₩1,890"
    assert value("stock", "1890", currency="USD") == "1890"


def test_times_are_in_a_zone_or_say_that_they_are_utc():
    assert moment(AT, ZoneInfo("Asia/Seoul")) == "2026-12-01 00:04"
    assert moment(AT, None) == "2026-11-30 15:04 UTC"


def test_a_time_zone_that_there_is_not():
    assert Serve(time_zone="Asia/Seoul").time_zone == "Asia/Seoul"
    for wrong in ("Seoul", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(ValueError, match="Asia/Seoul"):
            Serve(time_zone=wrong)


def test_codes_are_escaped():
    assert model("<b>") == '<span class="model">&lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("category", "shown"),
    [("bag", "가방"), ("Watch", "시계"), ("person", "person"), ("Search", "Search"), (None, None)],
)
def test_categories_of_goods_have_korean_names(category, shown):
    assert good(category, "ko") == shown
    assert good(category, "en") == category


def test_every_category_has_a_korean_name_of_its_own():
    names = [good(category, "ko") for category in CATEGORIES]
    assert len(set(names)) == len(CATEGORIES)
    assert not set(names) & set(CATEGORIES)
    assert translations("ko").gettext(CATEGORIES[0]) == "가방"
