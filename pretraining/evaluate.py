"""What a pretrained model is worth: bits per byte of held-out text by source, a page of samples, tokens per second.

    python pretraining/evaluate.py WORK MODEL [OTHER …]

Models are folders that transformers opens. Bits per byte compare models with different tokenizers; each model reads a
conversation with its own marks around the turns, and only the bytes that people wrote are counted.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from prepare import content_bytes
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW = 512
MARKS = {"dialogues": ("User", "Assistant"), "intents": ("Instruct", "Output")}
"""How a model without a chat template has seen the turns of a source; Question and Answer where none is named."""

PROMPTS = [
    "The old man looked at the sea and",
    "Hà Nội là",
    "def read_lines(path):\n",
    [("user", "Hello! Who are you?")],
    [("user", "What is the opposite of cold?")],
    [("user", 'Từ nào trái nghĩa với từ "nóng"?')],
    [("system", "Classify the text: sport, weather or food."), ("user", "It will rain all day tomorrow.")],
    [("user", "Extract name and city from the text. Answer in JSON.\nText: Maria moved from Lisbon to Oslo in May.")],
    [("user", "Trích xuất JSON gồm: tên, số điện thoại.\nVăn bản: Chị Lan hẹn bảy giờ tối, số chị là 0912 345 678.")],
    [("user", "I would like to book a table for two at 7 pm.")],
]


def text_of(tokenizer, document, source: str) -> str:
    """A document as this model has learnt to read it."""
    if isinstance(document, str):
        return (tokenizer.bos_token or "") + document
    if tokenizer.chat_template:
        return tokenizer.apply_chat_template(document, tokenize=False)
    ask, answer = MARKS.get(source, ("Question", "Answer"))
    lines = [
        m["content"] if m["role"] == "system" else f"{answer if m['role'] == 'assistant' else ask}: {m['content']}"
        for m in document
    ]
    return (tokenizer.bos_token or "") + "\n".join(lines)


@torch.inference_mode()
def bits_per_byte(model, tokenizer, documents: list, source: str) -> float:
    """Every token after a document's first is predicted once, from up to 511 before it."""
    nats = 0.0
    for document in documents:
        ids = tokenizer(text_of(tokenizer, document, source), add_special_tokens=False).input_ids
        for at in range(0, len(ids) - 1, WINDOW - 1):
            window = torch.tensor([ids[at : at + WINDOW]])
            nats += model(window, labels=window).loss.item() * (window.shape[1] - 1)
    return nats / math.log(2) / sum(map(content_bytes, documents))


@torch.inference_mode()
def sample(model, tokenizer, prompt) -> str:
    if isinstance(prompt, str):
        text = (tokenizer.bos_token or "") + prompt
    elif tokenizer.chat_template:
        messages = [{"role": role, "content": content} for role, content in prompt]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    else:
        text = f"{tokenizer.bos_token}Instruct: " + "\n".join(content for _, content in prompt) + "\nOutput:"
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    ids = model.generate(
        **inputs, max_new_tokens=60, do_sample=False, repetition_penalty=1.1 if isinstance(prompt, str) else 1.0
    )
    return tokenizer.decode(ids[0, inputs.input_ids.shape[1] :], skip_special_tokens=True).strip()


@torch.inference_mode()
def generation_speed(model, tokenizer, batch: int = 32, new: int = 64) -> float:
    """Tokens per second of a batch of prompts, with cache, to a fixed length."""
    inputs = tokenizer(["Where is my parcel? I ordered it two weeks ago."] * batch, return_tensors="pt")
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        model.generate(**inputs, max_new_tokens=new, min_new_tokens=new, do_sample=False)
    return batch * new / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("models", nargs="+")
    options = parser.parse_args()
    losses: dict[str, dict[str, float]] = {}
    for name in options.models:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval()
        for path in sorted((options.work / "held_out").glob("*.jsonl")):
            documents = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            losses.setdefault(path.stem, {})[name] = bits_per_byte(model, tokenizer, documents, path.stem)
        print(f"## {Path(name).name}\n\ngeneration: {generation_speed(model, tokenizer):,.0f} tokens/s\n")
        for prompt in PROMPTS:
            shown = prompt if isinstance(prompt, str) else "\n".join(f"{role}: {content}" for role, content in prompt)
            print(f"> {shown}\n\n{sample(model, tokenizer, prompt)}\n")
    print("| held-out text, bits per byte | " + " | ".join(Path(name).name for name in options.models) + " |")
    for source, by_model in losses.items():
        print(f"| {source} | " + " | ".join(f"{value:.3f}" for value in by_model.values()) + " |")


if __name__ == "__main__":
    main()
