"""The local track: what is learnt, what is saved, what is refused."""

import json
import os
import signal
import subprocess
import sys
import threading
from copy import deepcopy
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, PhiConfig

from ftkit import Chat, DataError, ModelError, RecipeError, Run, Split, Step
from ftkit.data import Dataset
from ftkit.local import FullFineTune, LoRA
from ftkit.local.chat import IGNORE, encode, prompt_text, use_template
from ftkit.local.fast import quicken
from ftkit.local.model import LocalModel, load_base

SHAPE = dict(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
    max_position_embeddings=64, pad_token_id=1, bos_token_id=0, eos_token_id=2,
)  # fmt: skip
QUICK = dict(r=4, alpha=8, batch_size=8, learning_rate=1e-2)


def chat(*turns: str, **weights) -> Chat:
    roles = ("user", "assistant")
    return Chat(tuple({"role": roles[i % 2], "content": text} | weights.get(f"w{i}", {}) for i, text in enumerate(turns)))


@pytest.fixture(scope="module")
def tokenizer():
    return load_base(None)[1]


@pytest.fixture(scope="module")
def tuned(tiny_phi, tickets, tmp_path_factory):
    split = Split(tickets[:24], tickets[24:32], tickets[32:40])
    return LoRA(base=tiny_phi, **QUICK).train(split, folder=tmp_path_factory.mktemp("runs") / "tuned")


def test_the_prompt_carries_no_loss_and_the_end_of_the_answer_does(tokenizer):
    row = encode(tokenizer, chat("Where is my order?", "On its way"), max_length=64)
    learnt = [token for token in row["labels"] if token != IGNORE]
    assert tokenizer.decode(learnt) == "On its way<|end|>"
    assert row["input_ids"][-len(learnt) :] == learnt
    assert tokenizer.decode(row["input_ids"]).startswith("<|endoftext|><|user|>Where is my order?<|end|><|assistant|>")


def test_a_model_without_a_chat_template_gets_phi_2s(tokenizer):
    plain = deepcopy(tokenizer)
    plain.chat_template = None
    use_template(plain)
    row = encode(plain, chat("Where is my order?", "On its way"), max_length=64)
    assert plain.decode(row["input_ids"]) == "Instruct: Where is my order?\nOutput: On its way<|end|>"
    assert plain.decode([t for t in row["labels"] if t != IGNORE]) == " On its way<|end|>"


def test_every_answer_of_a_conversation_is_learnt_unless_its_weight_is_zero(tokenizer):
    row = encode(tokenizer, chat("a", "first", "b", "second"), max_length=64)
    assert tokenizer.decode([t for t in row["labels"] if t != IGNORE]) == "first<|end|>second<|end|>"
    row = encode(tokenizer, chat("a", "first", "b", "second", w1={"weight": 0}), max_length=64)
    assert tokenizer.decode([t for t in row["labels"] if t != IGNORE]) == "second<|end|>"
    assert "first" in tokenizer.decode(row["input_ids"])


def test_training_sees_exactly_the_prompt_that_answering_uses(tokenizer):
    row = chat("Where is my order?", "On its way")
    ids = encode(tokenizer, row, max_length=64)
    prompt = [t for t, label in zip(ids["input_ids"], ids["labels"]) if label == IGNORE]
    assert tokenizer.decode(prompt) == prompt_text(tokenizer, row.prompt)


def test_a_row_that_is_too_long_is_refused_not_cut(tokenizer):
    with pytest.raises(DataError, match="tokens, but max_length is 16"):
        encode(tokenizer, chat("word " * 50, "yes"), max_length=16)


def test_a_template_that_merges_tokens_at_the_border_is_refused(tokenizer):
    merging = deepcopy(tokenizer)
    merging.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(DataError, match="merges tokens"):
        encode(merging, chat("Where is my ord", "er"), max_length=64)


def test_pad_is_not_the_end_of_text(tokenizer):
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_where_pad_was_the_end_of_text_the_end_of_an_answer_still_carries_loss(tiny_phi, small_split, tmp_path):
    """The trap: whoever hides every pad token from the loss hides the end of the answer too, and it is never learnt."""
    import shutil

    from transformers import AutoTokenizer, DataCollatorForLanguageModeling

    from ftkit.local.engine import pad
    from ftkit.local.packing import pack

    folder = str(shutil.copytree(tiny_phi, tmp_path / "base"))
    usual = AutoTokenizer.from_pretrained(folder)
    usual.pad_token = usual.eos_token
    usual.save_pretrained(folder)
    end = usual.eos_token_id
    trap = DataCollatorForLanguageModeling(usual, mlm=False)([{"input_ids": [5, 6, end]}])
    assert trap["labels"].tolist() == [[5, 6, IGNORE]]

    model, tokenizer = load_base(folder)
    assert tokenizer.eos_token_id == end != tokenizer.pad_token_id == model.config.pad_token_id
    rows = [encode(tokenizer, row, 512) for row in small_split.train[:5]]
    for batch in (pad(rows, tokenizer.pad_token_id), pack(rows)):
        assert int((batch["labels"] == end).sum()) == 5
    recipe, steps = LoRA(base=folder, **QUICK), []
    recipe.train(small_split, watch=lambda event: steps.append(event) if isinstance(event, Step) else None)
    assert steps[-1].tokens == sum(len(encode(tokenizer, row, 512)["input_ids"]) for row in small_split.train)


def test_on_a_cpu_with_bf16_the_base_is_trained_in_it_and_the_adapter_in_fp32(tiny_phi, small_split, tuned, monkeypatch):
    from safetensors.torch import load_file

    monkeypatch.setattr("ftkit.local.engine.cpu_has_bf16", lambda: True)
    seen = []
    monkeypatch.setattr("ftkit.local.engine.quicken", lambda model: seen.append(model.dtype) or quicken(model))
    run = LoRA(base=tiny_phi, **QUICK).train(small_split)
    assert seen == [torch.bfloat16] and run.model.model.dtype == torch.float32
    assert {tensor.dtype for tensor in load_file(run.folder / "adapter" / "adapter_model.safetensors").values()} == {torch.float32}
    assert run.losses == pytest.approx(tuned.losses, abs=0.05) and run.losses != tuned.losses


def test_the_embedded_model_is_trained_in_fp32_on_every_cpu(monkeypatch):
    from ftkit import QLoRA
    from ftkit.local.engine import cpu_dtype

    monkeypatch.setattr("ftkit.local.engine.cpu_has_bf16", lambda: True)
    for recipe in (LoRA(), LoRA(base="ftkit-phi-11m"), QLoRA(base="microsoft/phi-2"), FullFineTune(base="microsoft/phi-2")):
        assert cpu_dtype(recipe) == torch.float32
    assert cpu_dtype(LoRA(base="microsoft/phi-2")) == torch.bfloat16


def test_the_loss_is_the_mean_over_the_answers_tokens(tiny_phi, small_split):
    """The first reported loss, worked out by hand from the base model's scores, row by row without padding."""
    losses = []
    LoRA(base=tiny_phi, **{**QUICK, "batch_size": 24}).train(
        small_split, watch=lambda e: losses.append(e.loss) if isinstance(e, Step) else None
    )
    model, tokenizer = load_base(tiny_phi)
    total, count = 0.0, 0
    for row in small_split.train:
        ids = encode(tokenizer, row, 512)
        with torch.no_grad():
            logits = model(torch.tensor([ids["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(ids["labels"][1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum").item()
        count += int((labels != IGNORE).sum())
    assert losses[0] == pytest.approx(total / count, abs=1e-5)


def test_padding_changes_neither_loss_nor_gradients(tiny_phi, small_split):
    """Our right-padded batch without a mask against Hugging Face with its attention mask."""
    from ftkit.local.engine import pad

    model, tokenizer = load_base(tiny_phi)
    batch = pad([encode(tokenizer, row, 512) for row in small_split.train[:5]], tokenizer.pad_token_id)
    assert (batch["input_ids"] == tokenizer.pad_token_id).any()
    found = []
    for mask in (None, (batch["input_ids"] != tokenizer.pad_token_id).long()):
        model.zero_grad()
        loss = model(**batch, attention_mask=mask).loss
        loss.backward()
        found.append((loss.item(), model.model.layers[0].self_attn.q_proj.weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_the_same_seed_trains_the_same_adapter_bit_for_bit(tiny_phi, small_split, tuned):
    again = LoRA(base=tiny_phi, **QUICK).train(small_split)
    other = LoRA(base=tiny_phi, seed=1, **QUICK).train(small_split)
    weights = [(run.folder / "adapter" / "adapter_model.safetensors").read_bytes() for run in (tuned, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_training_lowers_the_validation_loss(tuned, tiny_phi, small_split):
    longer = LoRA(base=tiny_phi, epochs=4, **QUICK).train(small_split)
    assert longer.val_losses[-1] < longer.val_losses[0] - 0.1


def test_the_adapter_is_in_pefts_own_format(tuned, tiny_phi):
    from peft import PeftModel
    plain = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_phi, dtype=torch.float32), tuned.folder / "adapter"
    ).eval()
    ids = tuned.model.tokenizer("Where is my order?", return_tensors="pt")
    with torch.no_grad():
        expected = plain(**ids).logits[0]
    assert torch.equal(tuned.model.logits("Where is my order?"), expected)
    config = json.loads((tuned.folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["r"] == 4 and config["base_model_name_or_path"] == tiny_phi


def test_the_tuned_model_differs_from_its_base(tuned, tiny_phi):
    base = LocalModel.load(tiny_phi)
    assert (tuned.model.logits("Where?") - base.logits("Where?")).abs().max() > 1e-3


def test_merged_equals_unmerged_and_the_unmerged_stays_as_it_was(tuned):
    before = tuned.model.logits("Where is my order?")
    merged = tuned.model.merge()
    assert torch.allclose(merged.logits("Where is my order?"), before, atol=1e-5)
    assert torch.equal(tuned.model.logits("Where is my order?"), before)
    prompts = [[{"role": "user", "content": text}] for text in ("Where is my order?", "Chào shop")]
    assert merged.replies(prompts, 16) == tuned.model.replies(prompts, 16)


def test_a_merged_model_reloads_in_plain_transformers(tuned, tmp_path):
    merged = tuned.model.merge()
    folder = merged.save(tmp_path / "merged")
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = plain(**tokenizer("Where?", return_tensors="pt")).logits[0]
    assert torch.equal(logits, merged.logits("Where?")) and (folder / "model.safetensors").exists()
    with pytest.raises(ModelError, match="exists already"):
        merged.save(folder)
    with pytest.raises(ModelError, match="no adapter to merge"):
        merged.merge()
    with pytest.raises(ModelError, match=r"merge\(\) first"):
        tuned.model.save(tmp_path / "other")


def test_a_reopened_run_gives_the_same_model(tuned):
    again = Run.open(tuned.folder)
    assert again.recipe == tuned.recipe
    assert torch.equal(again.model.logits("Where?"), tuned.model.logits("Where?"))


def test_a_stopped_run_keeps_a_usable_adapter(tiny_phi, small_split):
    run = LoRA(base=tiny_phi, epochs=5, **QUICK).train(
        small_split, watch=lambda event: isinstance(event, Step) and event.step == 2
    )
    assert run.status == "cancelled" and len(run.losses) == 2
    assert Run.open(run.folder).model.reply("Where?", max_tokens=4) is not None


def test_ctrl_c_in_the_middle_of_training_keeps_the_adapter_of_that_step(tiny_phi, small_split):
    def press(event):
        if isinstance(event, Step) and event.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    run = LoRA(base=tiny_phi, epochs=5, **QUICK).train(small_split, watch=press)
    stopped = LoRA(base=tiny_phi, epochs=5, **QUICK).train(
        small_split, watch=lambda event: isinstance(event, Step) and event.step == len(run.losses)
    )
    assert run.status == "cancelled" and len(run.losses) in (2, 3)
    weights = [(one.folder / "adapter" / "adapter_model.safetensors").read_bytes() for one in (run, stopped)]
    assert weights[0] == weights[1]


def test_a_batch_answers_as_each_prompt_alone(tiny_phi):
    model = LocalModel.load(tiny_phi)
    prompts = [[{"role": "user", "content": "word " * n}] for n in (1, 9, 3)]
    assert model.replies(prompts, 12) == [model.replies([prompt], 12)[0] for prompt in prompts]


def test_completions_count_tokens_and_say_why_they_ended(tiny_phi):
    model = LocalModel.load(tiny_phi)
    prompt = [{"role": "user", "content": "Where?"}]
    [done] = model.complete([prompt], max_tokens=5)
    assert done.finish_reason == "length" and done.completion_tokens == 5
    assert done.prompt_tokens == len(model.tokenizer(prompt_text(model.tokenizer, prompt)).input_ids)
    [cut] = model.complete([prompt], max_tokens=5, stop=[done.text[2:4]])
    assert cut.finish_reason == "stop" and cut.text == done.text[:2]
    a, b, c = (model.complete([prompt], max_tokens=8, temperature=1.0, seed=seed)[0].text for seed in (1, 1, 2))
    assert a == b != c
    with pytest.raises(ModelError, match="fills its 256"):
        model.reply("word " * 300)


def test_an_unknown_model_is_a_clear_error(small_split):
    with pytest.raises(ModelError, match="nobody/nothing: no such folder, and no such model on the hub"):
        LoRA(base="nobody/nothing").train(small_split)


def test_a_damaged_model_is_a_clear_error(tiny_phi, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_phi, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="the model's files cannot be read"):
        LocalModel.load(str(broken))
    (broken / "config.json").unlink()
    with pytest.raises(ModelError, match="config.json is missing"):
        LocalModel.load(str(broken))


def test_a_missing_or_unfitting_adapter_is_a_clear_error(tuned, tmp_path):
    with pytest.raises(ModelError, match="no adapter here"):
        LocalModel.load(adapter=tmp_path)
    with pytest.raises(ModelError, match="does not fit ftkit-phi-11m"):
        LocalModel.load(adapter=tuned.folder / "adapter")


def test_layers_that_do_not_exist_are_named(tiny_phi, small_split):
    with pytest.raises(RecipeError, match="no layer named .nope."):
        LoRA(base=tiny_phi, target_modules=("nope",)).train(small_split)


@pytest.mark.parametrize("wrong", [{"r": 0}, {"alpha": 0}, {"dropout": 1}, {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 2}, {"seed": -1}, {"target_modules": ()}])
def test_values_that_cannot_work_are_refused_at_once(wrong):
    with pytest.raises(RecipeError, match=f"LoRA: {next(iter(wrong))}"):
        LoRA(**wrong)


def test_rows_of_another_kind_are_refused_before_a_folder_is_made(tmp_path):
    from ftkit import Pair

    pairs = Dataset((Pair("a", "b", where="pairs.jsonl:1"),))
    with pytest.raises(DataError, match="pairs.jsonl:1: LoRA learns from Chat rows; got Pair"):
        LoRA().train(Split(pairs, pairs, pairs))
    assert not list(tmp_path.iterdir())


def test_variants_train_on_named_layers_only(tiny_phi, small_split):
    run = replace(LoRA(base=tiny_phi, **QUICK), target_modules=("q_proj",)).train(small_split)
    from safetensors import safe_open

    with safe_open(run.folder / "adapter" / "adapter_model.safetensors", "pt") as file:
        assert all("q_proj" in key for key in file.keys()) and len(list(file.keys())) == 4


def test_adapters_on_one_base_are_switched_and_switched_off(tuned, tiny_phi, small_split):
    other = LoRA(base=tiny_phi, seed=1, r=2, target_modules=("q_proj", "fc1"), learning_rate=1e-2).train(small_split)
    text = "Where is my order?"
    alone = {None: LocalModel.load(tiny_phi).logits(text), "a": tuned.model.logits(text), "b": other.model.logits(text)}
    assert not torch.equal(alone["a"], alone["b"]) and not torch.equal(alone["b"], alone[None])
    model = LocalModel.load(tiny_phi)
    assert model.adapters == [] and torch.equal(model.use(None).logits(text), alone[None])
    model.add_adapter("a", tuned.folder / "adapter").add_adapter("b", other.folder / "adapter")
    assert model.adapters == ["a", "b"]
    for name in ("b", "a", None, "b", None, "a"):
        assert torch.allclose(model.use(name).logits(text), alone[name], atol=1e-6), name
    assert torch.allclose(model.merge().logits(text), alone["a"], atol=1e-5), "merged another one than that in use"
    with pytest.raises(ModelError, match="no adapter to merge in use"):
        model.use(None).merge()
    with pytest.raises(ModelError, match="no adapter named 'c'; there are: a, b"):
        model.use("c")
    with pytest.raises(ModelError, match="has an adapter named 'a' already"):
        model.add_adapter("a", other.folder / "adapter")


def test_removing_an_adapter_leaves_the_base_and_the_other_adapters_as_they_were(tuned, tiny_phi, recwarn):
    text = "Where is my order?"
    model = LocalModel.load(tiny_phi)
    alone = model.logits(text)
    for name in "ab":
        model.add_adapter(name, tuned.folder / "adapter")
    assert torch.equal(model.remove_adapter("a").logits(text), alone), "the base answers afterwards"
    assert model.adapters == ["b"] and torch.equal(model.use("b").logits(text), tuned.model.logits(text))
    assert model.remove_adapter("b").adapters == [] and torch.equal(model.logits(text), alone)
    with pytest.raises(ModelError, match="no adapter named 'b'"):
        model.remove_adapter("b")
    assert torch.equal(model.add_adapter("b", tuned.folder / "adapter").use("b").logits(text), tuned.model.logits(text))
    assert not [str(one.message) for one in recwarn if "adapter" in str(one.message)]


@pytest.mark.parametrize("variant", ["plain", "rslora", "dora"])
def test_the_merged_weight_is_what_the_papers_formula_says(variant, tiny_phi, small_split):
    """LoRA W₀ + (α/r)·BA; rsLoRA W₀ + (α/√r)·BA; DoRA the same as LoRA, each row scaled to its learnt length m."""
    from safetensors.torch import load_file

    recipe = LoRA(base=tiny_phi, **QUICK, rslora=variant == "rslora", dora=variant == "dora")
    run = recipe.train(small_split)
    layer = "model.layers.1.mlp.fc1"
    adapter = load_file(run.folder / "adapter" / "adapter_model.safetensors")
    a, b = (adapter[f"base_model.model.{layer}.lora_{one}.weight"] for one in "AB")
    w0 = LocalModel.load(tiny_phi).model.get_parameter(f"{layer}.weight")
    expected = w0 + (8 / 4**0.5 if variant == "rslora" else 8 / 4) * b @ a
    if variant == "dora":
        m = adapter[f"base_model.model.{layer}.lora_magnitude_vector"]
        expected = expected * (m / expected.norm(dim=1))[:, None]
    merged = run.model.merge().model.get_parameter(f"{layer}.weight")
    assert torch.allclose(merged, expected, atol=1e-6) and not torch.allclose(merged, w0, atol=1e-4)


def test_full_fine_tuning_changes_every_matrix_and_reopens_as_it_was(tiny_phi, small_split):
    run = FullFineTune(base=tiny_phi, batch_size=8, learning_rate=1e-2).train(small_split)
    before = dict(LocalModel.load(tiny_phi).model.named_parameters())
    after = dict(run.model.model.named_parameters())
    assert all(not torch.equal(before[name], after[name]) for name in before if before[name].ndim == 2)
    reopened = Run.open(run.folder).model
    assert reopened.name == f"{tiny_phi}, fully tuned"
    assert torch.equal(reopened.logits("Where is my order?"), run.model.logits("Where is my order?"))


def test_full_fine_tuning_takes_the_step_plain_torch_takes(tiny_phi, small_split):
    """One step on all 24 rows: the same loss and the same weights as AdamW on the mean over the answers' tokens."""
    losses = []
    recipe = FullFineTune(base=tiny_phi, batch_size=24, learning_rate=1e-3, warmup=0)
    run = recipe.train(small_split, watch=lambda event: losses.append(event.loss) if isinstance(event, Step) else None)
    model, tokenizer = load_base(tiny_phi)
    model.train()
    rows = [encode(tokenizer, row, 512) for row in small_split.train]
    scored = sum(label != IGNORE for row in rows for label in row["labels"][1:])
    loss = 0
    for row in rows:
        logits = model(torch.tensor([row["input_ids"]])).logits[0, :-1]
        labels = torch.tensor(row["labels"][1:])
        loss = loss + torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum") / scored
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0).step()
    assert losses[0] == pytest.approx(loss.item(), abs=1e-5)
    for (name, want), got in zip(model.named_parameters(), run.model.model.parameters(), strict=True):
        assert torch.allclose(want, got, atol=2e-5), name


class Hub(BaseHTTPRequestHandler):
    """A hub on this machine that refuses as the real one does: by status and X-Error-Code."""

    def do_HEAD(self):
        code, kind = {"gated": (403, "GatedRepo"), "gated-no-token": (401, "GatedRepo")}.get(self.path.split("/")[2], (401, "RepoNotFound"))
        self.send_response(code)
        self.send_header("X-Error-Code", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *args):
        pass


def test_a_gated_model_and_one_that_does_not_exist_are_told_apart(tmp_path):
    """Asked over HTTP: without a token the hub answers 401 to both, and only the words after it differ."""
    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    code = "from ftkit.local.model import load_base\nfor name in ('gated', 'gated-no-token', 'nothing'):\n"
    code += "  try: load_base('org/' + name)\n  except Exception as error: print(type(error).__name__, error)"
    here = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **here})
    hub.shutdown()
    hub.server_close()
    gated, no_token, nothing = done.stdout.splitlines()
    assert gated == "ModelError org/gated: the hub wants you to accept this model's terms; do so on its page, then set HF_TOKEN (or run `hf auth login`)"
    assert "wants you to accept this model's terms" in no_token
    assert nothing.startswith("ModelError org/nothing: no such folder, and no such model on the hub")


@pytest.mark.parametrize("family", ["phi", "gemma2"])
def test_attention_is_the_fused_one_but_where_its_scores_have_a_soft_cap(family, tiny_phi, tmp_path):
    """Fused attention knows no soft cap (Gemma 2); elsewhere it keeps the scores in fp32, which fp16 needs."""
    if family == "gemma2":
        config = Gemma2Config(**SHAPE, head_dim=16, attn_logit_softcapping=50.0)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "gemma2")
        AutoTokenizer.from_pretrained(tiny_phi).save_pretrained(tmp_path / "gemma2")
    model, _ = load_base(tiny_phi if family == "phi" else tmp_path / "gemma2")
    assert model.config._attn_implementation == {"phi": "sdpa", "gemma2": "eager"}[family] and model.dtype == torch.float32


@pytest.mark.parametrize("padded", [False, True])
def test_phis_attention_does_not_overflow_in_fp16(padded):
    """On a GPU without bf16 (T4), Phi's scores before the softmax pass 65,504. Checked here with a CPU's kernels."""
    torch.manual_seed(0)
    exact = AutoModelForCausalLM.from_config(PhiConfig(**SHAPE | {"num_key_value_heads": 2, "num_hidden_layers": 1}, resid_pdrop=0.0))
    with torch.no_grad():
        for name in ("q_proj", "k_proj"):
            getattr(exact.model.layers[0].self_attn, name).weight.mul_(3000)
    ids = torch.randint(3, 96, (1, 20))
    mask = torch.tensor([[0, 0, 0] + [1] * 17]) if padded else None
    found = {}
    for how in ("eager", "sdpa"):
        half = deepcopy(exact).half()
        half.set_attn_implementation(how)
        with torch.no_grad():
            found[how] = half(ids, attention_mask=mask).logits.float()
    with torch.no_grad():
        expected = exact(ids, attention_mask=mask).logits
    assert not found["eager"].isfinite().all(), "these scores fit into fp16: nothing is tested"
    assert torch.allclose(found["sdpa"][:, 3:], expected[:, 3:], atol=1e-2)
