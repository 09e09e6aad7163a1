"""Puts the scores into nbgrader's gradebook, for courses that keep their grades there."""

import os
import sys
import warnings
from pathlib import Path

from ftkit.errors import FtkitError
from ftkit.grading.report import points_of
from ftkit.grading.run import Graded


def write(graded: Graded, course: str | Path, given: dict) -> Path:
    """The gradebook.db of the course, now with a manual score for every question that has points.

    Questions without points are left as they are, and marked as needing a person.

    Raises:
        FtkitError: nbgrader is not installed, or the folder does not exist.
    """
    try:
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # it calls alembic
        from nbgrader.api import Gradebook
    except ImportError:
        raise FtkitError('--nbgrader: nbgrader is not installed: pip install "ftkit[grade]"') from None
    course, exercise = Path(course), graded.exercise
    if not course.is_dir():
        raise FtkitError(f"{course}: no such folder; give the folder of the nbgrader course")
    path = course / "gradebook.db"
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{path.resolve()}") as book:
        warnings.simplefilter("ignore")  # nbgrader's, about how it uses SQLAlchemy
        book.update_or_create_assignment(exercise.name)
        book.update_or_create_notebook(exercise.name, exercise.name)
        for q in exercise.questions:
            book.update_or_create_grade_cell(
                q.id, exercise.name, exercise.name, max_score=q.points, cell_type="markdown" if q.kind == "text" else "code"
            )
        for r in graded.results:
            student = r.id or r.key
            book.update_or_create_student(student, last_name=r.student)
            submission = book.update_or_create_submission(exercise.name, student)
            (notebook,) = submission.notebooks
            for grade in notebook.grades:
                points = points_of(r, grade.name, given)
                grade.manual_score, grade.needs_manual_grade = points, points is None
            book.db.commit()
    return path
