"""Every code has one sentence, one remedy and a use."""

import ast
from pathlib import Path

import pytest

from VertebralBMDLib.quality import ALLOWABLE, MESSAGES, Code, Refused

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("code", Code, ids=str)
def test_every_code_has_a_sentence_and_a_remedy(code):
    message = MESSAGES[code]
    for text in (message.sentence, message.remedy):
        assert text[0].isupper() and text.endswith(".") and text == text.strip() and len(text.split()) >= 2


def test_codes_messages_and_sentences_are_unique():
    assert set(MESSAGES) == set(Code)
    assert len({message.sentence for message in MESSAGES.values()}) == len(Code)
    assert all(code.value == code.name for code in Code)


def test_every_code_is_used_somewhere():
    used = set()
    for folder in ("VertebralBMDLib", "VertebralBMD"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "quality.py":
                tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                used |= {
                    node.attr
                    for node in tree
                    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
                }
    assert {code.name for code in Code} - used == set()


def test_only_what_leaves_something_to_measure_can_be_allowed():
    assert {code.value for code in ALLOWABLE} == {"NOT_HU", "LEVEL_UNCERTAIN", "TRANSITIONAL_ANATOMY", "CONTRAST"}


def test_a_remedy_that_offers_allow_names_a_code_that_can_be_allowed():
    offered = {
        word.strip(".,")
        for message in MESSAGES.values()
        for before, word in zip(message.remedy.split(), message.remedy.split()[1:])
        if before == "--allow"
    }
    assert offered and offered <= {code.value for code in ALLOWABLE}


def test_a_refusal_says_code_sentence_remedy_and_what_was_seen():
    refusal = Refused(Code.SHEARED, "7 degrees")
    assert str(refusal) == f"SHEARED: {MESSAGES[Code.SHEARED].sentence} {MESSAGES[Code.SHEARED].remedy} (7 degrees)"
    assert "(" not in str(Refused(Code.UNREADABLE))
