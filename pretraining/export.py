"""Turn a pretraining checkpoint into a folder that plain transformers opens.

    python pretraining/export.py WORK FOLDER [--run run] [--size 9m] [--shard 16MB]

Weights in fp16 safetensors, with --shard in several files (`train.py --start` goes on from either); Phi's own config; the tokenizer with its chat template, and pad, end of turn and end of text
as three different tokens. FOLDER must be new, or hold a model only.
"""

import argparse
from pathlib import Path

import torch
from prepare import ASSISTANT, BOS, END, PAD, SYSTEM, USER
from safetensors.torch import load_file
from tokenizers import Tokenizer
from train import SIZES, build
from transformers import GenerationConfig, PreTrainedTokenizerFast

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role in ('system', 'developer') %}{{ '" + SYSTEM + "' }}"
    "{% elif m.role == 'assistant' %}{{ '" + ASSISTANT + "' }}"
    "{% else %}{{ '" + USER + "' }}{% endif %}"
    "{{ m.content + eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '" + ASSISTANT + "' }}{% endif %}"
)


def export(work: Path, run: str, size: str, folder: Path, shard: str = "5GB") -> None:
    weights = load_file(work / run / "checkpoint.safetensors")
    model = build(size, len(weights["model.lm_head.weight"]))
    model.load_state_dict({key.removeprefix("model."): t for key, t in weights.items() if key.startswith("model.")})
    model.generation_config = GenerationConfig(bos_token_id=0, pad_token_id=1, eos_token_id=[2, 0], do_sample=False)
    model.to(torch.float16).save_pretrained(folder, max_shard_size=shard)
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_file(str(work / "tokenizer.json")),
        bos_token=BOS, eos_token=END, pad_token=PAD, chat_template=TEMPLATE,
        extra_special_tokens=[SYSTEM, USER, ASSISTANT], model_max_length=model.config.max_position_embeddings,
    ).save_pretrained(folder)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", default="run")
    parser.add_argument("--size", choices=SIZES, default="9m")
    parser.add_argument("--shard", default="5GB", help="the largest a file may be, such as 16MB")
    options = parser.parse_args()
    export(options.work, options.run, options.size, options.folder, options.shard)
