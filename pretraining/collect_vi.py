"""Make the Vietnamese text files that sources.toml names from two public git repositories.

git clone https://github.com/undertheseanlp/corpus.viwiki && git -C corpus.viwiki checkout 0b727cc0461e
git clone https://github.com/microsoft/IoT-For-Beginners && git -C IoT-For-Beginners checkout 8bd535533b39
python pretraining/collect_vi.py corpus.viwiki/.git IoT-For-Beginners/.git text/
"""

import bz2
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

END = "\n<|endoftext|>\n"
BACK_MATTER = re.compile(
    r"\n=+ *(Tham khảo|Chú thích|Liên kết ngoài|Xem thêm|Thư mục|Ghi chú|Nguồn)[^\n]*\n", re.IGNORECASE
)


def git(folder: str, *words: str, given: bytes = b"") -> bytes:
    return subprocess.run(["git", "--git-dir", folder, *words], input=given, capture_output=True, check=True).stdout


def files(repository: str, commit: str, folder: str, ending: str) -> list[str]:
    """The text of every file of that ending under a folder at a commit, in the order of their names."""
    names = git(repository, "ls-tree", "-r", "-z", "--name-only", commit, folder).decode().split("\0")
    wanted = "\n".join(f"{commit}:{name}" for name in names if name.endswith(ending) and "\n" not in name)
    texts, batch, at = [], git(repository, "cat-file", "--batch", given=wanted.encode()), 0
    while at < len(batch):
        end = batch.index(b"\n", at)
        head, at = batch[at:end], end + 1
        if not head.endswith(b"missing"):
            size = int(head.split()[-1])
            texts.append(batch[at : at + size].decode("utf-8", "replace"))
            at += size + 1
    return texts


def article(text: str) -> str:
    """An encyclopaedia article as running paragraphs: no notes, links, tables or lists of names."""
    text = BACK_MATTER.split(unicodedata.normalize("NFC", text))[0]
    kept = []
    for line in text.split("\n"):
        line = re.sub(r"\[\d+\]", "", re.sub(r" {2,}", " ", line)).strip()
        if line.startswith("=="):
            line = line.strip("= ")
        elif len(line) < 60 or line[-1] not in '.!?:;”"' or "displaystyle" in line:
            continue
        kept.append(line)
    return "\n".join(kept)


def page(text: str) -> str:
    """A markdown page without pictures, links, HTML and code fences."""
    text = unicodedata.normalize("NFC", text).split("**Tuyên bố miễn trừ")[0]
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    text = re.sub(r"<[^>]+>|!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def write(path: Path, documents: list[str]) -> None:
    documents = list(dict.fromkeys(document for document in documents if len(document) > 400))
    path.write_bytes(bz2.compress(END.join(documents).encode("utf-8")))
    print(f"{path}: {len(documents):,} documents, {sum(map(len, documents)):,} characters")


if __name__ == "__main__":
    wiki, iot, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "wiki_vi.txt.bz2", [article(text) for text in files(wiki, "0b727cc0461e", "viwiki/", ".txt")])
    write(folder / "iot_vi.txt.bz2", [page(text) for text in files(iot, "8bd535533b39", "translations/vi/", ".md")])
