"""Pretraining: packing, the schedule, exact resume, and a model that plain transformers opens."""

import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
SENTENCES = [
    f"{who} {what} {where}." for who in ("A cat", "The nurse", "Bạn Lan") for what in ("waits", "sings", "đọc sách")
    for where in ("at home", "in Huế", "by the river", "ở trường")
]  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A small WORK folder as prepare.py leaves it, made of a few sentences."""
    import prepare

    folder = tmp_path_factory.mktemp("work")
    rng = random.Random(0)
    documents = [" ".join(rng.choices(SENTENCES, k=40)) for _ in range(60)]
    tokenizer = prepare.train_tokenizer([prepare.render(document) for document in documents])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "rows").mkdir()
    (folder / "held_out").mkdir()
    for source in (source for source in prepare.manifest() if source["kind"] != "pairs"):
        ids = [tokenizer.encode(prepare.render(document)).ids for document in documents]
        for length in prepare.LENGTHS:
            np.save(folder / "rows" / f"{source['name']}.{length}.npy", prepare.pack(ids, length))
        line = json.dumps([{"role": "user", "content": SENTENCES[0]}, {"role": "assistant", "content": SENTENCES[1]}])
        (folder / "held_out" / f"{source['name']}.jsonl").write_text((line + "\n") * 40, encoding="utf-8")
    meanings(folder, tokenizer)
    return folder


def meanings(work: Path, tokenizer) -> None:
    """What meaning.py leaves, with a random vector a sentence instead of a teacher's."""
    import meaning
    import prepare

    rng, mark = random.Random(2), {name: tokenizer.token_to_id(name) for name in prepare.SPECIAL}
    ids = [tokenizer.encode(sentence).ids for sentence in SENTENCES]
    chats = [(*meaning.chat(rng, ids, ids[at % len(ids)], mark), at % len(ids)) for at in range(40 * len(ids))]
    vectors = np.random.default_rng(0).normal(size=(len(ids), 384))
    (work / "meaning").mkdir()
    np.save(work / "meaning" / "vectors.npy", (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16))
    for length in prepare.LENGTHS:
        rows, places = meaning.packed(chats, length, mark["<|pad|>"])
        for row, first, end, number in places.tolist():
            assert rows[row, first:end].tolist() == ids[number]
            assert rows[row, end : end + 2].tolist() == [mark["<|end|>"], mark["<|assistant|>"]] and end + 1 < length
        np.save(work / "meaning" / f"rows.{length}.npy", rows)
        np.save(work / "meaning" / f"places.{length}.npy", places)


def pretrain(work: Path, run: str, tokens: float, **options) -> list[dict]:
    """What train.py logs."""
    settings = {
        "size": "tiny",
        "tokens": tokens,
        "batch": 1024,
        "warmup": 2048,
        "every": 4,
        "dtype": "float32",
    } | options
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, ROOT / "pretraining" / "train.py", work, "--run", run, *words]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in (work / run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_packed_rows_hold_every_token_once_or_cut_only_what_did_not_fit():
    import prepare

    rng = random.Random(1)
    documents, token = [], 0
    for _ in range(300):
        size = rng.randint(1, 90)
        documents.append(list(range(token, token + size)))
        token += size
    rows = prepare.pack(documents, length=31)
    assert rows.shape[1] == 32 and rows.dtype == np.uint16
    packed = rows.flatten().tolist()
    assert len(set(packed)) == len(packed) and len(packed) > 0.9 * token
    starts = {ids[at] for ids in documents for at in range(0, len(ids), 32)}
    assert all(row[0] in starts for row in rows.tolist()), "a row begins in the middle of a document"


def test_a_conversation_is_read_from_its_marks_and_a_text_without_marks_stays_text():
    import prepare

    got = prepare.conversation("Be brief.\nUser: Hi: there\nAssistant: Hello\nUser: Bye\nAssistant: Bye!")
    assert [m["role"] for m in got] == ["system", "user", "assistant", "user", "assistant"]
    assert got[1]["content"] == "Hi: there" and prepare.conversation("Just a text.") == "Just a text."


def test_the_tokenizer_gives_back_any_text_and_never_joins_digits(work):
    import prepare
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    for text in ("Đơn VA-9644 giá 249.000đ 😀\n\tx = {'a': 1}", "日本語 ok", ""):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode("74937").ids) == 5
    assert [tokenizer.token_to_id(mark) for mark in prepare.SPECIAL] == [0, 1, 2, 3, 4, 5]


def test_the_rate_warms_up_stays_and_ends_at_zero():
    from train import schedule

    rates = [schedule(at, 1000, warmup=100, decay=0.2) for at in range(1001)]
    assert rates[50] == 0.5 and set(rates[100:801]) == {1.0} and rates[-1] == 0.0
    assert all(a >= b for a, b in zip(rates[800:], rates[801:]))


def test_the_sources_shares_add_up_and_every_file_has_a_hash_and_a_licence():
    import prepare

    sources = prepare.manifest()
    for share in ("share", "decay", "focus", "settle", "things", "lists", "close", "desk"):  # the mix divides by the sum
        assert math.isclose(sum(source.get(share, 0) for source in sources), 1.0, abs_tol=0.01)
    for source in sources:
        assert source["licence"] and source["from"]
        assert all(len(digest) == 64 for digest in source.get("files", {}).values())


def test_the_kits_own_messages_share_no_seven_words_in_a_row_with_the_unseen_tickets():
    import ftkit as ft

    def runs(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[at : at + 7]) for at in range(len(words) - 6)}

    rows = [line.split("\t") for line in (ROOT / "pretraining" / "pairs.tsv").read_text(encoding="utf-8").splitlines()]
    assert len({english for english, _ in rows}) == len(rows) > 3000
    for language, side in zip(("en", "vi"), zip(*rows, strict=True), strict=True):
        unseen = set().union(*(runs(row.text) for row in ft.read_chats(ft.dataset(f"tickets_{language}_unseen"))))
        ours = set().union(*(runs(text) for text in side))
        assert len(unseen) > 1000 and len(ours) > 1000 and not ours & unseen


def test_the_mix_follows_the_shares_and_reads_a_source_through_before_it_reads_it_again(work):
    from prepare import manifest
    from train import Mix

    mix, used = Mix(work, "share", 256, seed=0), {}
    for step in range(60):
        mix.batch(step, 32, used)
    assert {key.removesuffix(".256") for key in used} == {one["name"] for one in manifest() if one.get("share")}
    for source in (one for one in manifest() if "share" in one):
        share = used[f"{source['name']}.256"] / (60 * 32)
        spread = 4 * math.sqrt(source["share"] * (1 - source["share"]) / (60 * 32))
        assert abs(share - source["share"]) < spread + 1e-3, source["name"]
    rows = len(mix.rows["books"])
    taken = [mix._next("books", used_books) for used_books in [{}] for _ in range(rows)]
    assert len({row.tobytes() for row in taken}) == rows


def test_training_lowers_the_loss_and_a_stopped_run_goes_on_bit_for_bit(work):
    whole = pretrain(work, "whole", tokens=16 * 1024)
    assert whole[-1]["loss"] < whole[0]["loss"] - 0.5
    assert whole[0]["loss"] == pytest.approx(math.log(8192), abs=0.05)
    assert set(whole[3]["held_out"]) == {path.stem for path in (work / "held_out").glob("*.jsonl")}
    pretrain(work, "parts", tokens=16 * 1024, steps=5)
    assert not (work / "parts" / "checkpoint.tmp").exists()
    kept = (work / "parts" / "checkpoint.safetensors").read_bytes()
    pretrain(work, "parts", tokens=16 * 1024, steps=2)
    (work / "parts" / "checkpoint.safetensors").write_bytes(kept)  # as if killed: the log is ahead of the checkpoint
    pretrain(work, "parts", tokens=16 * 1024, steps=8)  # stops while the rate falls
    parts = pretrain(work, "parts", tokens=16 * 1024)
    assert [line["loss"] for line in parts] == [line["loss"] for line in whole]
    same = [(work / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "parts")]
    from safetensors.torch import load

    a, b = map(load, same)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_second_objective_is_learnt_beside_the_first_and_goes_on_bit_for_bit(work):
    whole = pretrain(work, "meant", tokens=24 * 1024, meaning=1)
    assert whole[-1]["meaning"] < whole[0]["meaning"] - 0.5 and whole[-1]["loss"] < whole[0]["loss"] - 0.5
    pretrain(work, "meant_parts", tokens=24 * 1024, meaning=1, steps=5)
    parts = pretrain(work, "meant_parts", tokens=24 * 1024, meaning=1)
    assert [(line["loss"], line["meaning"]) for line in parts] == [(line["loss"], line["meaning"]) for line in whole]


def test_a_run_that_was_begun_without_the_second_objective_says_so(work):
    pretrain(work, "alone", tokens=1024)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        pretrain(work, "alone", tokens=2048, meaning=1)
    assert "made without --meaning" in failed.value.stderr and "Traceback" not in failed.value.stderr


def test_each_view_of_a_sentence_is_taken_where_it_stands(work):
    """States that are the vectors themselves, and a map that hands them on, leave no loss; a place too far does."""
    from train import VIEWS, Meaning

    meaning = Meaning(work, 256, seed=0)
    rows, places = meaning.batch(4, {})
    hidden = [torch.zeros(4, 256, 384) for _ in range(4)]
    for row, first, end, number in places.tolist():
        vector = meaning.vectors[number].float()
        hidden[0][row, first:end] = vector
        hidden[2][row, end : end + 2] = vector
    heads = [torch.nn.Identity() for _ in VIEWS]
    near = meaning.loss(heads, hidden, 3, places)
    assert near < math.log(len(places)) and near < meaning.loss(heads, hidden, 3, places + [0, 1, 1, 0]) - 0.5


def test_the_states_that_are_looked_at_are_those_of_transformers(work):
    from train import build, first_states

    torch.manual_seed(0)
    model, ids = build("tiny").eval(), torch.randint(0, 400, (3, 40))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    ours = first_states(model, ids)
    theirs = model.model(input_ids=ids, output_hidden_states=True).hidden_states
    assert len(ours) == 2  # the embeddings, and the first of two blocks
    for got, wanted in zip(ours, theirs):
        assert torch.allclose(got, wanted, atol=1e-5)


def test_an_exported_model_opens_in_plain_transformers_and_scores_as_it_did(work):
    from export import export
    from train import build
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (work / "whole" / "checkpoint.safetensors").exists():
        pretrain(work, "whole", tokens=16 * 1024)
    folder = work / "exported"
    export(work, "whole", "tiny", folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(model).__name__ == "PhiForCausalLM" and model.config.hidden_act == "gelu_new"
    assert len({tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id}) == 3
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|endoftext|><|system|>S<|end|><|user|>U<|end|><|assistant|>"

    from safetensors.torch import load_file

    original = build("tiny")
    weights = load_file(work / "whole" / "checkpoint.safetensors")
    original.load_state_dict({k.removeprefix("model."): t for k, t in weights.items() if k.startswith("model.")})
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.inference_mode():
        assert torch.allclose(model(ids).logits, original(ids).logits, atol=2e-2)


def test_a_model_handed_on_in_pieces_is_where_the_next_run_starts(work):
    """So a run on a machine that gives back only small files can go on elsewhere, in another stage too."""
    from export import export
    from safetensors.torch import load_file

    if not (work / "whole" / "checkpoint.safetensors").exists():
        pretrain(work, "whole", tokens=16 * 1024)
    folder = work / "pieces"
    export(work, "whole", "tiny", folder, shard="300KB")
    pieces = list(folder.glob("model-*.safetensors"))
    assert len(pieces) > 2 and max(path.stat().st_size for path in pieces) < 600_000
    before = load_file(work / "whole" / "checkpoint.safetensors")
    last = pretrain(work, "whole", tokens=16 * 1024)[-1]["loss"]
    log = pretrain(work, "next", tokens=2 * 1024, start=folder, stage="focus", lr=1e-9)
    assert log[0]["loss"] == pytest.approx(last, abs=0.5) and log[0]["loss"] < math.log(8192) / 2
    after = load_file(work / "next" / "checkpoint.safetensors")
    name = "model.model.layers.0.mlp.fc1.weight"
    assert torch.allclose(after[name], before[name], atol=1e-3) and not torch.equal(after[name], before[name])


def test_only_what_an_assistant_says_counts_in_full(work):
    """Against torch's own cross-entropy on the tokens that are meant."""
    from train import build, next_token_loss

    torch.manual_seed(0)
    model, rows = build("tiny"), torch.tensor([[0, 3, 40, 2, 4, 50, 51, 2, 5, 60, 61, 2, 0, 70, 1, 1]])
    hidden = torch.randn(1, 15, 32)
    torch.nn.init.normal_(model.lm_head.weight)
    every = torch.nn.functional.cross_entropy(model.lm_head(hidden)[0], rows[0, 1:], reduction="none")
    said, pads = torch.zeros(15, dtype=bool), torch.zeros(15, dtype=bool)
    said[8:11], pads[13:] = True, True  # 60, 61 and the mark that ends them
    assert next_token_loss(model, hidden, rows, 0.0).item() == pytest.approx(every[said].mean().item(), rel=1e-5)
    assert next_token_loss(model, hidden, rows).item() == pytest.approx(every[~pads].mean().item(), rel=1e-5)
    mixed = (every[said].sum() + 0.25 * every[~said & ~pads].sum()) / (3 + 0.25 * 10)
    assert next_token_loss(model, hidden, rows, 0.25).item() == pytest.approx(mixed.item(), rel=1e-5)


def test_a_word_known_after_a_space_gets_a_token_without_it_and_no_text_is_read_otherwise(work, tmp_path):
    """As plain tokenizers and transformers read it; the old tokens keep their numbers and their weights."""
    import expand
    from tokenizers import Tokenizer
    from transformers import PhiForCausalLM
    from train import build

    old = Tokenizer.from_file(str(work / "tokenizer.json"))
    model = build("tiny", old.get_vocab_size())
    torch.nn.init.normal_(model.lm_head.weight)
    model.save_pretrained(tmp_path / "old")
    old.save(str(tmp_path / "old" / "tokenizer.json"))
    command = [sys.executable, ROOT / "pretraining" / "expand.py", tmp_path / "old", tmp_path / "new"]
    subprocess.run(command, check=True, capture_output=True)
    new = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    assert len(old.encode("sings").ids) > 1 and len(new.encode("sings").ids) == 1 and new.encode(" sings").ids == old.encode(" sings").ids
    for text in (*SENTENCES, '{"who": "nurse", "where": "river"}', "đọc", "12 homes"):
        assert new.decode(new.encode(text).ids) == text
    wide = PhiForCausalLM.from_pretrained(tmp_path / "new")
    assert wide.lm_head.weight.shape == (new.get_vocab_size(), 32) and wide.config.vocab_size == new.get_vocab_size()
    ids = torch.tensor([old.encode(SENTENCES[0]).ids])
    with torch.inference_mode():
        logits, count = wide(ids).logits, old.get_vocab_size()
        assert torch.allclose(logits[..., :count], model.eval()(ids).logits, atol=1e-4)
    table, ids = wide.model.embed_tokens.weight, old.get_vocab()
    both = [(ids[token], ids[token[1:]]) for token in ids if token[0] == "Ġ" and token[1:] in ids]
    shift = torch.stack([table[without] - table[with_space] for with_space, without in both]).mean(0)
    assert torch.allclose(table[new.token_to_id("sings")], table[new.token_to_id("Ġsings")] + shift, atol=1e-4)


def test_the_mean_of_models_is_the_mean_of_their_weights_and_models_that_have_none_are_refused(work, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    pretrain(work, "averaged", 2048)
    folders = [tmp_path / name for name in ("one", "two", "mean")]
    subprocess.run([sys.executable, ROOT / "pretraining" / "export.py", work, folders[0], "--run", "averaged", "--size", "tiny"], check=True)
    other = AutoModelForCausalLM.from_pretrained(folders[0])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += torch.randn_like(parameter)
    other.save_pretrained(folders[1])
    AutoTokenizer.from_pretrained(folders[0]).save_pretrained(folders[1])

    def average(*names):
        return subprocess.run([sys.executable, ROOT / "pretraining" / "average.py", *names], capture_output=True, text=True)

    assert average(folders[2], *folders[:2]).returncode == 0
    one, two, mean = (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict() for folder in folders)
    for name in one:
        assert torch.equal(mean[name], ((one[name] + two[name]) / 2).half().float()), name
    again = average(folders[2], *folders[:2])
    assert again.returncode and "exists" in again.stderr
    tokenizer = AutoTokenizer.from_pretrained(folders[1])
    tokenizer.add_tokens(["quokka"])
    tokenizer.save_pretrained(folders[1])
    refused = average(tmp_path / "none", *folders[:2])
    assert refused.returncode and "another vocabulary" in refused.stderr and not (tmp_path / "none").exists()


def test_muon_takes_torchs_own_steps():
    from train import Muon

    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(*shape)) for shape in ((32, 32), (32, 128), (128, 32), (32, 32))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    a = Muon(ours, lr=1e-2, momentum=0.95, weight_decay=0.1, dtype=torch.bfloat16)
    b = torch.optim.Muon(theirs, lr=1e-2, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    start = [p.detach().clone() for p in ours]
    for _ in range(4):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        a.step(), b.step()
    for p, q, s in zip(ours, theirs, start, strict=True):
        assert (p - q).norm() < 0.05 * (q - s).norm()  # bf16 rounds in another order


def test_a_text_file_that_is_not_the_manifests_is_refused(tmp_path):
    import prepare

    source = next(source for source in prepare.manifest() if source["kind"] == "turns")
    (tmp_path / next(iter(source["files"]))).write_bytes(b"something else")
    with pytest.raises(SystemExit, match="not the file of the manifest"):
        next(prepare.documents(source, tmp_path))


@pytest.mark.parametrize("name", ["prepare", "train", "grounded", "meaning", "collect_pairs"])
def test_the_examples_in_the_docstrings_are_true(name):
    import doctest
    import importlib

    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted and not done.failed
