"""What there is to learn, in order: names, minutes, files. The one place that lists lessons and exercises.

tests/test_course.py holds it to the notebooks' own titles and to exercise.toml.
"""

from dataclasses import dataclass

from ftkit import lang as spoken


@dataclass(frozen=True)
class Station:
    """A lesson or an exercise."""

    name: str
    """"00" for a lesson, "01_openai" for an exercise: what `ft.quiz` and `ft.exercise.start` call it."""
    title: str
    title_vi: str
    minutes: int
    path: str
    """The notebook, in the repository."""
    path_vi: str
    checks: tuple[str, ...] = ()
    """The questions of an exercise that `ft.exercise.check` can look at."""

    @property
    def is_lesson(self) -> bool:
        return not self.checks


def _lesson(stem: str, minutes: int, title: str, title_vi: str) -> Station:
    return Station(stem[:2], title, title_vi, minutes, f"lessons/{stem}.ipynb", f"lessons/vi/{stem}.ipynb")


def _exercise(name: str, minutes: int, checks: int, title: str, title_vi: str) -> Station:
    questions = tuple(f"q{i}" for i in range(1, checks + 1))
    folder = f"exercises/{name}"
    return Station(name, title, title_vi, minutes, f"{folder}/student.ipynb", f"{folder}/student_vi.ipynb", questions)


COURSE = (
    _lesson("00_should_i_fine_tune", 25, "Should I fine-tune at all?", "Rốt cuộc tôi có nên tinh chỉnh không?"),
    _lesson("01_openai", 35, "Fine-tune over the OpenAI API, without OpenAI", "Tinh chỉnh qua API của OpenAI mà không cần OpenAI"),
    _exercise("01_openai", 75, 5, "Your own data, over the OpenAI API", "Dữ liệu của chính bạn, qua API của OpenAI"),
    _lesson(
        "02_lora", 50, "LoRA and QLoRA: teach a model a task by training 4 % of it",
        "LoRA và QLoRA: dạy mô hình một việc mà chỉ huấn luyện 4 % của nó",
    ),
    _exercise("02_lora", 60, 5, "LoRA by hand, then for real", "LoRA: tự tính bằng tay, rồi làm thật"),
    _lesson(
        "03_embeddings", 35, "Fine-tune an embedding model so that search finds the right thing",
        "Tinh chỉnh mô hình embedding để tìm kiếm ra đúng thứ cần tìm",
    ),
    _exercise("03_embeddings", 50, 4, "Teach a search what belongs together", "Dạy bộ tìm kiếm biết cái gì đi với cái gì"),
    _lesson("04_evaluate_and_cost", 35, "Did it help, and was it worth it?", "Có tốt lên thật không, và có đáng không?"),
)  # fmt: skip

LESSONS = {station.name: station for station in COURSE if station.is_lesson}
EXERCISES = {station.name: station for station in COURSE if not station.is_lesson}


def language(lang: str | None = None) -> str:
    """"vi" or "en": what was asked for, else what learners are spoken to in (`ftkit.lang`).

    >>> language("vi"), language("en")
    ('vi', 'en')
    """
    return ("vi" if lang.lower().startswith("vi") else "en") if lang else spoken.language()
