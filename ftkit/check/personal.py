"""Secrets and personal data in a text: keys, e-mail addresses, telephone and card numbers, Vietnamese identity numbers.

Digits are mostly order numbers, so each pattern wants a form of its own (a network's first digits and the check digit of a
card, a "+" or a mobile prefix of a telephone) or a word beside it that says what it is.
"""

import re
from collections.abc import Iterator

KEYS = {
    "an API key (sk-…)": r"(?<![\w-])sk-(?=[\w-]*[A-Za-z0-9]{16})(?=[\w-]*\d)[\w-]{20,}",
    "a Stripe key": r"\b[sr]k_live_\w{16,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[opusr]_[A-Za-z0-9]{36}|github_pat_\w{40,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "a Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "a signed token (JWT)": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
_KEY = re.compile("|".join(f"({pattern})" for pattern in KEYS.values()))
_KINDS = list(KEYS)
_KEY_MARKS = ("sk-", "k_live_", "hf_", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "AIza", "xox", "eyJ", "PRIVATE KEY")  # looked for first: fast

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
_INVENTED_DOMAIN = re.compile(r"[@.](?:example(?:\.\w+)?|test|invalid|localhost)$", re.IGNORECASE)  # RFC 2606 keeps these free

_NUMBER = re.compile(r"(?<![\w#.,-])(?:\+|\(\+?)?\d(?:[ .()-]{0,2}\d){8,18}(?![\w-]|[.,]\d)")
_NINE_DIGITS = re.compile(r"\d(?:[ .()-]{0,2}\d){8}")
_CARD = re.compile(r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|35\d{14}|6(?:011|5\d\d)\d{12}|9704\d{12}(?:\d{3})?")
_VIETNAMESE = re.compile(r"(?:\+84|0084|84|0)(?:3[2-9]|5[25689]|7[06-9]|8[1-9]|9\d)\d{7}|(?:\+84|0)2\d{9}")
_INTERNATIONAL = re.compile(r"\+[1-9]\d{7,14}")
_AMERICAN = re.compile(r"\(?[2-9]\d{2}\)?[ .-][2-9]\d{2}[ .-]\d{4}")
_FICTION = re.compile(r"(?:\+?1)?\d{3}55501\d\d")  # numbers kept free for films
_ORDER_BEFORE = re.compile(
    r"(?:order|invoice|ticket|tracking|parcel|serial|ref(?:erence)?|id|no|code|đơn(?: hàng)?|mã(?: \w+)?|vận đơn|hóa đơn|số đơn)"
    r"[\s:.#№]*(?:number|no|id|số|is|là)?[\s:.#№]*$",
    re.IGNORECASE,
)
_IDENTITY_BEFORE = re.compile(r"cccd|cmnd|căn cước|chứng minh|định danh|citizen id|identity card|national id", re.IGNORECASE)


def personal(text: str) -> Iterator[tuple[str, str, str]]:
    """(rule, kind, masked value) of each secret or personal datum in ``text``; never the value itself.

    >>> list(personal("Call 0912 345 678 about order 0987654321"))
    [('personal', 'a telephone number', '091…')]
    """
    if any(mark in text for mark in _KEY_MARKS):
        for match in _KEY.finditer(text):
            yield "key", _KINDS[match.lastindex - 1], masked(match[0])
    if "@" in text:
        for match in _EMAIL.finditer(text):
            if not _INVENTED_DOMAIN.search(match[0]):
                yield "personal", "an e-mail address", masked(match[0], 2)
    for match in _NUMBER.finditer(text) if _NINE_DIGITS.search(text) else ():
        kind = _number_kind(match[0], text[max(0, match.start() - 40) : match.start()])
        if kind:
            yield "personal", kind, masked(match[0])


def masked(value: str, shown: int = 3) -> str:
    """The first characters and no more."""
    return value[:shown] + "…"


def redacted(text: str) -> str:
    """The text with every secret and personal datum masked."""
    text = _EMAIL.sub(lambda match: masked(match[0], 2), _KEY.sub(lambda match: masked(match[0]), text))
    return _NUMBER.sub(lambda match: masked(match[0]), text)


def _number_kind(shown: str, before: str) -> str | None:
    digits = re.sub(r"\D", "", shown)
    bare = ("+" if "+" in shown else "") + digits
    if _IDENTITY_BEFORE.search(before) and (len(digits) == 9 or (len(digits) == 12 and digits[0] == "0")):
        return "an identity card number"
    if _ORDER_BEFORE.search(before):
        return None
    if _CARD.fullmatch(digits) and _luhn(digits):
        return "a card number"
    american = _AMERICAN.fullmatch(shown)
    if (_VIETNAMESE.fullmatch(bare) or _INTERNATIONAL.fullmatch(bare) or american) and not _FICTION.fullmatch(bare):
        return "a telephone number"
    return None


def _luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1)."""
    doubled = [int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0
