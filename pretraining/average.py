"""Make one model whose weights are the mean of several others'.

    python pretraining/average.py NEW FOLDER FOLDER...

Models that went on from one another, or from one start, are often better at what they share when averaged than each alone
("model soups", Wortsman et al. 2022, arXiv:2203.05482). The tokenizer must be the same in all; NEW gets the last one's.
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def average(new: Path, folders: list[Path]) -> None:
    """Write to NEW the mean, taken in fp32 and stored in fp16, of the models in the folders.

    Raises:
        SystemExit: NEW exists, or a model has another vocabulary or shape than the last.
    """
    if new.exists():
        sys.exit(f"{new} exists: name a new folder.")
    tokenizer = AutoTokenizer.from_pretrained(folders[-1])
    for folder in folders:
        if AutoTokenizer.from_pretrained(folder).get_vocab() != tokenizer.get_vocab():
            sys.exit(f"{folder} has another vocabulary than {folders[-1]}: their mean would mean nothing.")
    models = [AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32) for folder in folders]
    states = [model.state_dict() for model in models]
    for folder, state in zip(folders, states, strict=True):
        if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in states[-1].items()}:
            sys.exit(f"{folder} has another shape than {folders[-1]}: their weights have no mean.")
    models[-1].load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[-1]})
    models[-1].to(torch.float16).save_pretrained(new)
    tokenizer.save_pretrained(new)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("new", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    options = parser.parse_args()
    average(options.new, options.folders)
