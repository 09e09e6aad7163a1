"""For instructors: build the exercises, and grade what learners hand in. Extra: ``pip install "ftkit[grade]"``.

    source.ipynb ─ build → student.ipynb → (the learner) → submissions.zip
    submissions.zip ─ ingest → Submission ┬─ sandbox + runner → answers (JSON) ─ probes ──┐
                                          └─ artefact (our own parser) ─ measure ─────────┴→ Result → report

Nothing of the learner's is ever imported, unpickled or executed in the grader's own process. The notebook runs in a
sandbox that holds neither the hidden tests nor the secret; hidden inputs go in, and what comes out is text that is parsed
as JSON and compared here. Weights are read by a parser of our own and loaded into our own base.
"""
