"""Lesson 00's shop: every fact has a page, every question an answer on it."""

import importlib.util
import json
from pathlib import Path

import pytest

import ftkit as ft

DATA = Path(__file__).parents[2] / "data"


def generator():
    spec = importlib.util.spec_from_file_location("shop", DATA / "shop.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages(name: str = "shop_pages") -> list[str]:
    return [json.loads(line)["text"] for line in ft.dataset(name).read_text(encoding="utf-8").splitlines()]


def test_the_data_sets_are_what_their_generator_writes(tmp_path):
    generator().main(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == ft.dataset(path.stem).read_bytes(), path.name


@pytest.mark.parametrize(("name", "where"), [("shop", "shop_pages"), ("shop_test", "shop_pages"), ("shop_later_test", "shop_later_pages")])
def test_every_answer_stands_on_a_page_that_names_the_thing_asked_for(name, where):
    for row in ft.read_chats(ft.dataset(name)):
        found = [page for page in pages(where) if f" {row.answer}." in page and page.split(" ", 2)[1] in row.text]
        assert found, f"{row.text} → {row.answer}: on no page"


def test_the_test_asks_for_every_fact_once_in_wordings_never_trained_on():
    train, test = ft.read_chats(ft.dataset("shop")), ft.read_chats(ft.dataset("shop_test"))
    assert len(test) == len(pages()) == 120
    assert len({row.answer + row.text for row in test}) == 120
    assert not {row.text for row in train} & {row.text for row in test}


def test_later_the_same_is_asked_and_nearly_every_answer_has_changed():
    now, later = ft.read_chats(ft.dataset("shop_test")), ft.read_chats(ft.dataset("shop_later_test"))
    assert [row.text for row in now] == [row.text for row in later]
    assert sum(a.answer == b.answer for a, b in zip(now, later)) <= 3
