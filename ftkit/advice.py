"""Should I fine-tune at all? The decision tree of lesson 00 as one pure function.

    do answers rest on facts that change?
    ├─ yes, and no search is in place ──────────────── rag
    ├─ yes, and the search misses the right page ───── embed
    └─ no, or the search works: must behaviour change (style, format, a narrow task, a field's language)?
       ├─ no ── prompted yet?  no ─ prompt    yes ──── keep
       └─ yes ─ prompted yet?  no ─ prompt
                few-shot yet?  no ─ few-shot
                time and money for it?  no ─────────── keep
                50 good examples?       no ─────────── collect
                may the data leave the house, and no GPU at hand?   yes ─ hosted
                no GPU ─ small    below 24 GiB ─ qlora    24 GiB or more ─ lora

The cheapest way that may work comes first: prompt, few-shot, search, fine-tune.
"""

from dataclasses import dataclass

from ftkit import course
from ftkit.errors import FtkitError
from ftkit.lang import say
from ftkit.tables import escaped

ENOUGH_EXAMPLES = 50
"""Where gains usually begin to show; 10 is only the least that services accept."""

ROOMY_GIB = 24
"""From here on a model of 7 billion parameters fits in 16 bits (14 GB), with its LoRA training around it."""

LESSONS = {name: lesson.path for name, lesson in course.LESSONS.items()}


@dataclass(frozen=True)
class Leaf:
    """Where the tree can end."""

    title: str
    reasons: tuple[str, ...]
    next_step: str
    lesson: str


LEAVES = {
    "prompt": Leaf(
        "Write a good prompt first",
        ("A prompt costs minutes and nothing to keep; what it reaches is the bar that fine-tuning has to clear.",),
        "Say the task, the format and what to do when unsure; measure it on a sealed test set.",
        "00",
    ),
    "few-shot": Leaf(
        "Put examples into the prompt",
        ("Three to ten examples in the prompt show a format or a tone at once, without any training.",),
        "Take examples from the training rows, never from the test set, and measure again.",
        "00",
    ),
    "rag": Leaf(
        "Look the facts up (RAG)",
        (
            "An index is brought up to date in minutes; a model only by training it again.",
            "A model does learn facts from fine-tuning, but slowly, and invents more for it (arXiv:2405.05904).",
        ),
        "Search your documents with an embedding model and give the best passages to the model with the question.",
        "00",
    ),
    "embed": Leaf(
        "Fine-tune the search, not the answers",
        ("If the right page is not found, no model can answer from it; an embedding model learns from pairs on a CPU.",),
        "Collect (question, right passage) pairs, train ft.Embed, and compare NDCG@10 before and after.",
        "03",
    ),
    "keep": Leaf(
        "Keep what you have",
        ("What fine-tuning would bring is not needed, or cannot be paid for; a bigger model or a better prompt may do.",),
        "Measure what you have with an interval, so that you will know if a change helps.",
        "04",
    ),
    "collect": Leaf(
        "Collect examples first, and stay with few-shot until then",
        (
            f"Gains usually show from {ENOUGH_EXAMPLES} to 100 good examples on.",
            "Ten consistent examples teach more than a hundred that contradict each other.",
        ),
        "Collect real requests with the answers you want; put some aside as the test set before anything else.",
        "01",
    ),
    "hosted": Leaf(
        "Fine-tune over an API",
        (
            "No GPU is needed: rows go up, a model name comes back.",
            "OpenAI's own fine-tuning is closing; the same client works with compatible providers and the kit's service.",
        ),
        "Rehearse for free with ft.Hosted(endpoint=ft.local_service()); estimate before you spend.",
        "01",
    ),
    "small": Leaf(
        "Fine-tune a small open model with LoRA, here",
        (
            "What may not leave the house and has no GPU can still teach a small model, on a CPU.",
            "For a narrow task a small tuned model often does what a large one does, sooner and cheaper.",
        ),
        "Train ft.LoRA() on the embedded model; if that is too small, rent a GPU that you control.",
        "02",
    ),
    "qlora": Leaf(
        "Fine-tune an open model with QLoRA",
        ("The base is held in 4 bits, about a quarter of 16, so that a larger one fits your GPU; it trains more slowly.",),
        "Ask recipe.estimate whether your base fits; if it does in 16 bits, take LoRA instead.",
        "02",
    ),
    "lora": Leaf(
        "Fine-tune an open model with LoRA",
        (
            "The base stays as it is, the adapter is small and can be taken off again.",
            "Full fine-tuning is often matched by LoRA on all linear layers, for far less memory.",
        ),
        "Train ft.LoRA on your base, and compare it with the base on the sealed test set.",
        "02",
    ),
}


@dataclass(frozen=True)
class Advice:
    """What to try next, and why. Made by `advise`."""

    choice: str
    """prompt, few-shot, rag, embed, keep, collect, hosted, small, qlora or lora."""
    title: str
    reasons: tuple[str, ...]
    """First what you said that led here, then why it is a good idea."""
    next_step: str
    lesson: str
    """The notebook that shows how, as a path in the repository; in words while it is being written."""

    def __str__(self) -> str:
        reasons = "\n".join(f"  - {reason}" for reason in self.reasons)
        return f"{self.title}\n{reasons}\n{say('Next:')} {self.next_step}\n{say('Lesson:')} {self.lesson}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        reasons = "".join(f"<li>{escaped(reason)}</li>" for reason in self.reasons)
        return (
            f"<b>{escaped(self.title)}</b><ul>{reasons}</ul>"
            f"<p>{say('Next:')} {escaped(self.next_step)}<br>{say('Lesson:')} <code>{self.lesson}</code></p>"
        )


def advise(
    *,
    behaviour: bool = False,
    facts_change: bool = False,
    rag: bool = False,
    search_misses: bool = False,
    prompted: bool = False,
    few_shot: bool = False,
    budget: bool = True,
    examples: int = 0,
    private: bool = False,
    gpu_gib: float = 0,
) -> Advice:
    """The Advice for your case. Every answer is counted; the tree is in the docstring of this module.

    >>> print(advise(behaviour=True, prompted=True, few_shot=True, examples=200, gpu_gib=16))
    Fine-tune an open model with QLoRA
      - The model has to behave differently, and prompt and few-shot were not enough.
      - You have 200 examples, time and money.
      - Your GPU has 16 GiB.
      - The base is held in 4 bits, about a quarter of 16, so that a larger one fits your GPU; it trains more slowly.
    Next: Ask recipe.estimate whether your base fits; if it does in 16 bits, take LoRA instead.
    Lesson: lessons/02_lora.ipynb

    Args:
        behaviour: must the model behave differently: style, format, one narrow task, the language of a field?
        facts_change: do answers rest on facts that change: prices, stock, documents?
        rag: does a search over those facts feed the model already?
        search_misses: does that search miss the right passage?
        prompted: has a careful prompt been tried, and measured?
        few_shot: have examples in the prompt been tried, and measured?
        budget: is there time and money to train, test and look after a model?
        examples: how many good examples there are.
        private: must the data stay in the house?
        gpu_gib: memory of your GPU in GiB; 0 for none. A free Colab has 16.

    Raises:
        FtkitError: a number below 0.

    Introduced in lesson 00.
    """
    if examples < 0 or gpu_gib < 0:
        raise FtkitError(f"advise: examples and gpu_gib must be 0 or more; got {examples!r} and {gpu_gib!r}")
    because = []
    if facts_change and not rag:
        return _advice("rag", "Answers rest on facts that change.")
    if facts_change and search_misses:
        return _advice("embed", "The facts are looked up, but the search misses the right passage.")
    if facts_change:
        because.append("The changing facts are looked up already, and found.")
    if not behaviour:
        because.append("The model need not behave differently.")
        if not prompted:
            return _advice("prompt", *because, "No careful prompt has been tried.")
        return _advice("keep", *because, "A careful prompt has been tried.")
    if not prompted:
        return _advice("prompt", *because, "The model has to behave differently, and no careful prompt has been tried.")
    if not few_shot:
        because.append("The model has to behave differently; a prompt was not enough, and few-shot is untried.")
        return _advice("few-shot", *because)
    because.append("The model has to behave differently, and prompt and few-shot were not enough.")
    if not budget:
        return _advice("keep", *because, "There is no time or money to train and look after a model.")
    if examples < ENOUGH_EXAMPLES:
        return _advice("collect", *because, f"You have {examples} examples.")
    because.append(f"You have {examples} examples, time and money.")
    if gpu_gib == 0 and not private:
        return _advice("hosted", *because, "You have no GPU, and the data may leave the house.")
    if gpu_gib == 0:
        return _advice("small", *because, "You have no GPU, and the data must stay in the house.")
    return _advice("qlora" if gpu_gib < ROOMY_GIB else "lora", *because, f"Your GPU has {gpu_gib:g} GiB.")


def _advice(choice: str, *because: str) -> Advice:
    leaf = LEAVES[choice]
    reasons = tuple(map(say, (*because, *leaf.reasons)))
    return Advice(choice, say(leaf.title), reasons, say(leaf.next_step), LESSONS[leaf.lesson])
