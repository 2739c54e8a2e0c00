from __future__ import annotations

from satchel.confidence.agreement import different_items


def test_photos_that_are_each_probably_another_product_are_of_different_items() -> None:
    assert different_items([{"a": 0.9}, {"b": 0.7, "c": 0.1}]) == ((1,), (2,))
    assert different_items([{"a": 0.6}, {"b": 0.6}, {"a": 0.8, "b": 0.05}]) == ((1, 3), (2,))


def test_a_photo_that_is_not_sure_is_of_no_group() -> None:
    assert different_items([{"a": 0.9}, {"b": 0.59}]) == ()
    assert different_items([{"a": 0.9}, {"b": 0.3, "a": 0.3}, {"c": 0.9}]) == ((1,), (3,))
    assert different_items([{}, {"a": 1.0}]) == ()


def test_photos_that_leave_room_for_each_other_are_of_one_item() -> None:
    assert different_items([{"a": 0.9, "b": 0.06}, {"b": 0.9}]) == ()
    assert different_items([{"a": 0.9, "b": 0.05}, {"b": 0.9}]) == ((1,), (2,))
    assert different_items([{"a": 0.9}, {"a": 0.8}]) == ()
    assert different_items([{"a": 0.9}]) == ()
