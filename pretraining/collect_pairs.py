"""Make the file of sentences in English and Vietnamese that sources.toml names from public git repositories.

git clone https://github.com/microsoft/IoT-For-Beginners iot                                      # 8bd53553
git clone https://github.com/microsoft/edgeai-for-beginners edgeai                                # 05d7c7ef
git clone https://github.com/microsoft/AZD-for-beginners azd                                      # ee9762cd
git clone https://github.com/huggingface/course course                                            # 16af5667
git clone https://github.com/sanghuynh1501/translate_machine tatoeba                              # a013b57
python pretraining/collect_pairs.py iot/.git edgeai/.git azd/.git course/.git tatoeba/.git text/

Each line of the file is {"en", "vi"}. Pages are put side by side paragraph by paragraph, and left out where they do not
have the same paragraphs; paragraphs sentence by sentence where they have as many sentences.
"""

import bz2
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from collect_vi import git

LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
MARKS = re.compile(r"<[^<>]*>|[*_`#>|]+|^\s*(?:[-+]|\d+\.)\s+")
SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[^\W\d_])")


def paragraphs(page: str) -> list[tuple[str, str]]:
    """(kind of line, its text without marks) of every line of Markdown that is not code; empty lines are left out."""
    page = re.sub(r"<!--.*?-->|^(```|~~~).*?^\1[^\n]*$|\A---\n.*?\n---\n", "", page, flags=re.DOTALL | re.MULTILINE)
    found = []
    for line in page.split("\n"):
        if line.strip():
            text = LINK.sub(r"\1", LINK.sub(r"\1", line))
            kind = re.match(r"\s*([#>|!<]|[-+*] |\d+\.|)", line)[1]
            found.append((kind, unicodedata.normalize("NFC", " ".join(MARKS.sub("", text).split()))))
    return found


def beside(english: str, vietnamese: str) -> Iterator[tuple[str, str]]:
    """The sentences of two pages side by side; none where the kinds of their paragraphs differ.

    >>> list(beside("# Hello\\n\\nOne day. Two nights.", "# Xin chào\\n\\nMột ngày. Hai đêm."))
    [('Hello', 'Xin chào'), ('One day.', 'Một ngày.'), ('Two nights.', 'Hai đêm.')]
    """
    left, right = paragraphs(english), paragraphs(vietnamese)
    right = right[: len(left)] if len(left) < len(right) <= len(left) + 5 else right  # a note on the translation at the end
    if [kind for kind, _ in left] != [kind for kind, _ in right]:
        return
    for (_, one), (_, other) in zip(left, right, strict=True):
        ones, others = SENTENCE.split(one), SENTENCE.split(other)
        yield from zip(ones, others, strict=True) if len(ones) == len(others) else [(one, other)]


def pages(repository: str, commit: str, english: str, vietnamese: str) -> Iterator[tuple[str, str]]:
    """The pages under the second folder, each with the page of the same name under the first."""
    names = git(repository, "ls-tree", "-r", "-z", "--name-only", commit).decode().split("\0")
    for name in names:
        other = english + name.removeprefix(vietnamese)
        if name.startswith(vietnamese) and name.endswith((".md", ".mdx")) and other in names:
            yield tuple(git(repository, "show", f"{commit}:{one}").decode("utf-8", "replace") for one in (other, name))


def main(iot: str, edgeai: str, azd: str, course: str, tatoeba: str, text: str) -> None:
    found = {}
    for repository, commit, english, vietnamese in (
        (iot, "8bd53553", "", "translations/vi/"),
        (edgeai, "05d7c7ef", "", "translations/vi/"),
        (azd, "ee9762cd", "", "translations/vi/"),
        (course, "16af5667", "chapters/en/", "chapters/vi/"),
    ):
        for english_page, vietnamese_page in pages(repository, commit, english, vietnamese):
            found |= dict.fromkeys(beside(english_page, vietnamese_page))
        print(repository, len(found))
    for line in git(tatoeba, "show", "a013b57:vie.txt").decode("utf-8").splitlines():
        found[tuple(unicodedata.normalize("NFC", side.strip()) for side in line.split("\t")[:2])] = None
    rows = [{"en": en, "vi": vi} for en, vi in found if en != vi and 2 <= len(en.split()) and 8 < len(en) < 300]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (Path(text) / "pairs.jsonl.bz2").write_bytes(bz2.compress(lines.encode("utf-8")))
    print(f"{Path(text) / 'pairs.jsonl.bz2'}: {len(rows):,} pairs of sentences")


if __name__ == "__main__":
    main(*sys.argv[1:])
