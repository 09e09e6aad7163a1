"""Give every word that the vocabulary knows after a space a token without it, too.

    python pretraining/expand.py FOLDER NEW

" dog" was one token and "dog", as in {"pet": "dog"}, two: d, og. To copy a word to the beginning of a string the model had to
know how each word is spelled. In NEW "dog" is a token that starts out as " dog", moved by what lies between the words that
had both forms. `train.py --start NEW` goes on from there; NEW/tokenizer.json is the tokenizer for prepare.py.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import decoders, models

SPACE = "Ġ"
MOST = 3
"""Pieces of a word at most: more would bring in many pieces that are no words."""


def expand(model: dict) -> list[tuple[str, list[str]]]:
    """The tokens added to a BPE model of tokenizer.json (changed in place), each with the tokens that it may start from."""
    vocabulary: dict[str, int] = model["vocab"]
    merges = [tuple(pair) for pair in model["merges"]]
    bpe = models.BPE(vocabulary, merges)
    added = []
    for word in [token[1:] for token in sorted(vocabulary, key=vocabulary.get) if token.startswith(SPACE)]:
        parts = [part.value for part in bpe.tokenize(word)]
        if not 1 < len(parts) <= MOST or not decoders.ByteLevel().decode([word]).isalpha():
            continue
        for upto in range(2, len(parts) + 1):
            left, token = "".join(parts[: upto - 1]), "".join(parts[:upto])
            merges.append((left, parts[upto - 1]))
            if token not in vocabulary:
                vocabulary[token] = len(vocabulary)
                added.append((token, [SPACE + token] if SPACE + token in vocabulary else [left, parts[upto - 1]]))
        bpe = models.BPE(vocabulary, merges)
    model["merges"] = [list(pair) for pair in merges]
    return added


def grown(table: torch.Tensor, vocabulary: dict[str, int], old: int, added: list[tuple[str, list[str]]]) -> torch.Tensor:
    """An embedding or a head (old, width) with a row for each added token."""
    both = [(vocabulary[token], vocabulary[token[1:]]) for token in list(vocabulary)[:old] if token[0] == SPACE and token[1:] in vocabulary]
    with_space, without = torch.tensor([pair for pair in both if pair[1] < old]).T
    wide = torch.cat([table.float(), torch.zeros(len(added), table.shape[1])])
    shift = (wide[without] - wide[with_space]).mean(0)
    for token, start in added:
        row = wide[[vocabulary[one] for one in start]].mean(0)
        wide[vocabulary[token]] = row + shift if len(start) == 1 else row
    return wide.to(table.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    shutil.copytree(options.folder, options.new)
    path = options.new / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary = tokenizer["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda entry: entry[1]))
    old = len(vocabulary)
    added = expand(tokenizer["model"])
    path.write_text(json.dumps(tokenizer, ensure_ascii=False, indent=2), encoding="utf-8")
    weights = load_file(options.new / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"):
        table = weights[name] if weights[name].ndim == 2 else weights[name][:, None]
        weights[name] = grown(table, vocabulary, old, added).reshape(len(vocabulary), *weights[name].shape[1:])
    save_file(weights, options.new / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((options.new / "config.json").read_text(encoding="utf-8"))
    (options.new / "config.json").write_text(json.dumps(config | {"vocab_size": len(vocabulary)}, indent=2) + "\n", encoding="utf-8")
    print(f"{old:,} entries and {len(added):,} more, {sum(len(start) > 1 for _, start in added):,} of them no word's beginning after a space")


if __name__ == "__main__":
    main()
