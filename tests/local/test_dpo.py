"""DPO: the loss of the paper's equation 7, and what it does to the two answers."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from ftkit import DPO, DataError, Dataset, Preference, Run, Split, Step, Val, read_preferences, write_jsonl
from ftkit.local.chat import IGNORE, encode
from ftkit.local.model import LocalModel

QUICK = dict(r=4, alpha=8, batch_size=8, learning_rate=1e-2, beta=0.5, epochs=3)


@pytest.fixture(scope="module")
def split() -> Split:
    """Polite answers are preferred to short ones, whatever is asked."""
    asked = [f"{verb} my {thing}?" for verb in ("Where is", "What about", "Who took") for thing in "box hat pen car bag key cat cup".split()]
    rows = [Preference(({"role": "user", "content": text},), f"Thank you, let me look for it ({i}).", f"No idea {i}") for i, text in enumerate(asked)]
    return Split(Dataset(tuple(rows[:16])), Dataset(tuple(rows[16:])), Dataset(()))


@pytest.fixture(scope="module")
def run(tiny_phi, split, tmp_path_factory) -> Run:
    return DPO(base=tiny_phi, **QUICK).train(split, folder=tmp_path_factory.mktemp("runs") / "dpo")


@torch.no_grad()
def logp(model: LocalModel, chat) -> float:
    """The log-probability of a chat's answer, from all logits of the row alone."""
    row = encode(model.tokenizer, chat, 512)
    labels = torch.tensor(row["labels"])[1:]
    scores = model.model(torch.tensor([row["input_ids"]])).logits[0, :-1].log_softmax(-1)
    kept = labels != IGNORE
    return scores[kept].gather(1, labels[kept][:, None]).sum().item()


def test_the_first_loss_is_ln_2_because_nothing_differs_from_the_base_yet(run):
    assert run.losses[0] == pytest.approx(math.log(2), abs=1e-6)


def test_the_validation_loss_is_equation_7_worked_out_by_hand(run, tiny_phi, split):
    tuned, base = run.model, LocalModel.load(tiny_phi)
    margins = []
    for row in split.val:
        better, worse = (logp(tuned, chat) - logp(base, chat) for chat in row.answers)
        margins.append(0.5 * (better - worse))
    assert run.val_losses[-1] == pytest.approx(-F.logsigmoid(torch.tensor(margins)).mean().item(), abs=1e-4)
    assert [event.accuracy for event in run.history if isinstance(event, Val)][-1] == 1
    assert all(margin > 0 for margin in margins), "a prompt it has not seen: the better answer gained on the worse one"


def test_a_stopped_run_goes_on_to_the_same_adapter(run, tiny_phi, split):
    stopped = DPO(base=tiny_phi, **QUICK).train(split, watch=lambda event: isinstance(event, Step) and event.step == 3)
    again = Run.open(stopped.folder).resume(split)
    weights = [(one.folder / "adapter" / "adapter_model.safetensors").read_bytes() for one in (run, again)]
    assert weights[0] == weights[1] and again.losses == run.losses


def test_preferences_survive_writing_and_reading_in_openais_format(split, tmp_path):
    path = write_jsonl(tmp_path / "prefer.jsonl", split.train)
    assert set(json.loads(path.read_text(encoding="utf-8").splitlines()[0])) == {"input", "preferred_output", "non_preferred_output"}
    assert read_preferences(path).rows == split.train.rows
    assert len(read_preferences(path).split(seed=0, sizes=(0.5, 0.25, 0.25)).train) in range(5, 12)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input": None}, 'want "input": {"messages": […]}; got nothing'),
        ({"preferred_output": "yes"}, 'want "preferred_output": a list with one assistant message; got "yes"'),
        ({"non_preferred_output": []}, 'want "non_preferred_output": a list with one assistant message'),
        ({"non_preferred_output": [{"role": "user", "content": "x"}]}, "non_preferred_output: messages 1 and 2 are both from 'user'"),
        ({"non_preferred_output": [{"role": "assistant", "content": "good"}]}, "both outputs are the same text"),
    ],
)
def test_a_row_that_is_no_preference_is_named_with_its_line(change, said, tmp_path):
    good = {
        "input": {"messages": [{"role": "user", "content": "Where?"}]},
        "preferred_output": [{"role": "assistant", "content": "good"}],
        "non_preferred_output": [{"role": "assistant", "content": "bad"}],
    }
    path = tmp_path / "prefer.jsonl"
    path.write_text(json.dumps(good) + "\n" + json.dumps(good | change) + "\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_preferences(path)
    assert str(caught.value).startswith(f"prefer.jsonl:2: {said}")


def test_chats_are_refused_because_dpo_needs_two_answers(small_split, tiny_phi):
    with pytest.raises(DataError, match=r"tickets_en.jsonl:\d+: DPO learns from Preference rows; got Chat"):
        DPO(base=tiny_phi).train(small_split)
