"""Measures trained artefacts on the hidden set, in processes of their own: ``python -m ftkit.grading.measure``.

The weights were parsed by `artefact`; here they are put into the grader's own base, and the grader's own tokenizer, code
and settings do the rest. The learner's numbers are never believed, and their training is never run again.

A worker reads one JSON line a job from stdin and answers with one JSON line. The first line says what to measure with.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from ftkit.errors import FtkitError
from ftkit.grading.spec import Exercise

SECONDS = 600
"""For one artefact; the first also loads the base."""

MAX_TOKENS = 56
"""An answer has up to 48. A model that does not stop is cut here."""

BATCH = 32
"""Prompts answered together."""


class Worker:
    """A measuring process, started anew when it dies or takes too long."""

    def __init__(self, exercise: Exercise, hidden_rows: list[dict], baseline: float | None = None):
        self.head = {
            "baseline": baseline,
            "artefact": exercise.artefact,
            "max_r": exercise.adapter.max_r,
            "targets": exercise.adapter.targets,
            "metric": exercise.of_kind("measure")[0].metric,
            "rows": hidden_rows,
        }
        self.process = None

    def measure(self, folder: Path) -> dict:
        """{"score", "baseline", "fingerprint", "signature"}, or {"refused": why}, or {"failed": why}."""
        return self._ask({"folder": str(folder)})

    def baseline(self) -> float:
        """The score of the untouched base.

        Raises:
            FtkitError: it cannot be measured; then nothing can.
        """
        found = self._ask({"folder": None})
        if "baseline" not in found:
            raise FtkitError(f"the base model cannot be measured on the hidden rows: {found}")
        return found["baseline"]

    def _ask(self, job: dict) -> dict:
        if self.process is None or self.process.poll() is not None:
            self._start()
        try:
            self._send(job)
            line = self.lines.get(timeout=SECONDS)
        except (OSError, queue.Empty):
            line = None
        if not line:
            self.close()
            return {"failed": "measuring it ended the measuring process, or took too long"}
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None

    def _start(self) -> None:
        package = str(Path(__file__).parents[2])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = process = subprocess.Popen(
            [sys.executable, "-m", "ftkit.grading.measure"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self.lines = lines = queue.Queue()

        def read() -> None:
            with process.stdout:
                for line in process.stdout:
                    lines.put(line)
            lines.put(b"")

        threading.Thread(target=read, daemon=True).start()
        self._send(self.head)

    def _send(self, value: dict) -> None:
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()


class AdapterMeter:
    """Adapters on the embedded language model, scored by a metric over the answers to hidden chats."""

    def __init__(self, head: dict):
        from ftkit.data import Chat, Dataset
        from ftkit.local.fast import quicken
        from ftkit.local.model import load_base
        from ftkit.metrics import text

        self.head = head
        self.metric = getattr(text, head["metric"])
        chats = sorted((Chat(tuple(row["messages"])) for row in head["rows"]), key=lambda chat: len(chat.text))
        self.test = Dataset(tuple(chats), "hidden")  # by length, so that little is padded
        base, self.tokenizer = load_base(None)
        self.base = quicken(base)
        self.baseline = self.score(self.base) if head["baseline"] is None else head["baseline"]

    def score(self, model) -> float:
        from ftkit.local import model as local
        from ftkit.report import evaluate

        local.BATCH = BATCH
        report = evaluate(local.LocalModel(model, self.tokenizer, "hidden"), self.test, [self.metric], max_tokens=MAX_TOKENS)
        return report.scores[self.metric.__name__].value

    def measure(self, folder: Path) -> dict:
        from copy import deepcopy

        import torch
        from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        from ftkit.grading import artefact

        settings, tensors = artefact.read_adapter(folder, self.head["max_r"], tuple(self.head["targets"]))
        config = LoraConfig(
            task_type="CAUSAL_LM", r=settings.r, lora_alpha=settings.alpha, target_modules=list(settings.target_modules),
            use_rslora=settings.rslora, use_dora=settings.dora,
        )  # fmt: skip
        model = get_peft_model(deepcopy(self.base), config)
        fresh = {key: tuple(value.shape) for key, value in get_peft_model_state_dict(model).items()}
        if fresh != {key: value.shape for key, value in tensors.items()}:
            raise FtkitError("adapter_model.safetensors: not the keys and shapes of a fresh adapter")
        set_peft_model_state_dict(model, {key: torch.from_numpy(value.copy()) for key, value in tensors.items()})
        return {"score": self.score(model.merge_and_unload()), **_marks_of(tensors)}


class EmbeddingMeter:
    """Embedding models of the base's own shape, scored by a ranking metric on a hidden search task."""

    def __init__(self, head: dict):
        from ftkit.data import SearchSet
        from ftkit.embed.model import load_base

        self.metric = head["metric"]
        (row,) = head["rows"]
        self.task = SearchSet(row["corpus"], row["queries"], row["qrels"])
        self.model = load_base(None)
        self.inner = self.model.transformer[0].auto_model
        self.shapes = {name: tuple(value.shape) for name, value in self.inner.state_dict().items()}
        self.start = {name: value.clone() for name, value in self.inner.state_dict().items()}
        self.baseline = self.score() if head["baseline"] is None else head["baseline"]

    def score(self) -> float:
        from ftkit.report import evaluate

        return evaluate(self.model, self.task, [self.metric]).scores[self.metric].value

    def measure(self, folder: Path) -> dict:
        import torch

        from ftkit.grading import artefact

        if not (folder / "model.safetensors").is_file():
            raise FtkitError("model.safetensors: missing; hand in what ft.exercise.submit() packs")
        tensors = artefact.read_tensors(folder / "model.safetensors", self.shapes)
        moved = {name: value - self.start[name].numpy() for name, value in tensors.items()}
        self.inner.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()})
        return {"score": self.score(), **_marks_of(moved)}


METERS = {"adapter": AdapterMeter, "embedding": EmbeddingMeter}


def _marks_of(tensors: dict) -> dict:
    from ftkit.grading import artefact

    return {"fingerprint": artefact.fingerprint(tensors), "signature": artefact.signature(tensors)}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what libraries print must not look like an answer
    os.dup2(2, 1)
    head = json.loads(sys.stdin.readline())
    import torch

    torch.set_num_threads(1)
    meter = METERS[head["artefact"]](head)
    for line in sys.stdin:
        try:
            folder = json.loads(line)["folder"]
            found = {"baseline": meter.baseline, **(meter.measure(Path(folder)) if folder else {})}
        except FtkitError as error:
            found = {"refused": str(error)[:500]}
        except Exception as error:  # whatever weights do to a library, the batch goes on
            found = {"failed": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
