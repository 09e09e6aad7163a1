"""LoRA and full fine-tuning on Hugging Face's Trainer: load, wrap, train, save.

B is the batch, T the longest row in it, N its tokens.
"""

import math
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from ftkit import checkpoints
from ftkit.bf16 import cpu_has_bf16, gpu_has_bf16
from ftkit.data import Dataset
from ftkit.errors import ModelError, RecipeError
from ftkit.events import Saved, Status, Usage
from ftkit.files import replacing
from ftkit.local import DPO, EMBEDDED, FullFineTune, LoRA, QLoRA
from ftkit.local.chat import IGNORE, encode
from ftkit.local.distributed import Filled, empty_row
from ftkit.local.fast import quicken
from ftkit.local.fused import fuse_lora
from ftkit.local.layers import targets
from ftkit.local.loss import scored_logps
from ftkit.local.model import LocalModel, Nf4, load_base
from ftkit.local.packing import pack, packs
from ftkit.local.peak import peak_memory
from ftkit.ranks import leads, world_size
from ftkit.run import Run
from ftkit.trainer import Speaker, WholeCheckpoints


class Engine(WholeCheckpoints, Trainer):
    """Hugging Face's Trainer that also measures accuracy; its checkpoints appear whole, in ``run.folder / "checkpoints"``."""

    def __init__(self, recipe: LoRA | FullFineTune, run: Run, train_dataset: list, **kwargs):
        self.rows, self.hits = len(train_dataset), []
        rows = train_dataset if world_size() == 1 else [*train_dataset, empty_row(kwargs["processing_class"].pad_token_id)]
        super().__init__(callbacks=[Speaker(run)], train_dataset=rows, **kwargs)
        self.remove_callback(PrinterCallback)  # engines speak by events only
        self.recipe, self.folder = recipe, run.folder / "checkpoints"

    def _get_train_sampler(self, train_dataset=None):
        if world_size() == 1:
            return super()._get_train_sampler(train_dataset)
        return Filled(self.rows, self.recipe.batch_size, self.recipe.seed)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if "hits" in outputs:
            self.hits.append(outputs["hits"])
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict, start_time: float | None = None) -> None:
        """Adds the share of hits since the last log."""
        if self.hits:
            hits = torch.cat(self.hits)
            right, scored = self.accelerator.reduce(torch.stack([hits.sum(), hits.new_tensor(len(hits), dtype=torch.long)])).tolist()
            logs["accuracy"], self.hits = right / max(scored, 1), []
        super().log(logs, start_time)

    def _save(self, output_dir=None, state_dict=None) -> None:
        folder = Path(output_dir)
        if not leads():
            return
        if isinstance(self.recipe, LoRA):
            write_adapter(self.recipe, self.model, folder)
        else:
            self.model.save_pretrained(folder)


class PreferenceEngine(Engine):
    """The same on pairs of answers: a batch holds the better answers of its rows, then the worse ones."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        gained = answer_logps(model, inputs) - inputs["base_logps"]  # (2B,)
        better, worse = gained.chunk(2)
        loss = -F.logsigmoid(self.recipe.beta * (better - worse)).mean()
        self.hits.append(better > worse)
        return (loss, {"loss": loss}) if return_outputs else loss


def answer_logps(model, batch: dict) -> torch.Tensor:
    """The log-probability of each row's answer, (B,)."""
    lengths = batch.get("lengths")
    logps, _, rows = scored_logps(model.get_base_model(), batch["input_ids"], batch["labels"], lengths)
    return torch.zeros(len(batch["labels"] if lengths is None else lengths), device=logps.device).index_add(0, rows, logps)


def preferences(data: Dataset, tokenizer, model, recipe: DPO, collate) -> list[dict]:
    """Each row's two encoded answers, with the base's log-probability of either, which training does not change."""
    rows = [{"answers": [encode(tokenizer, chat, recipe.max_length) for chat in row.answers]} for row in data]
    with torch.no_grad(), model.disable_adapter():
        for start in range(0, len(rows), 16):
            some = rows[start : start + 16]
            batch = collate([row["answers"][side] for side in (0, 1) for row in some])
            logps = answer_logps(model, {name: tensor.to(model.device) for name, tensor in batch.items()}).cpu()
            for row, *both in zip(some, *logps.chunk(2)):
                row["base_logps"] = torch.stack(both)
    return rows


def collate_preferences(batch: list[dict], collate) -> dict[str, torch.Tensor]:
    """The better answers of the rows, then the worse ones; and ``base_logps``, (2B,), in the same order."""
    together = collate([row["answers"][side] for side in (0, 1) for row in batch])
    return together | {"base_logps": torch.stack([row["base_logps"][side] for side in (0, 1) for row in batch])}


def cpu_dtype(recipe: LoRA | FullFineTune) -> torch.dtype:
    """The number format of the base on a CPU: bf16 for LoRA where the hardware multiplies it, else fp32.

    The embedded model is too small to gain from it: it takes as long, in twice the memory (compiled code for each shape).
    """
    small = recipe.base is None or str(recipe.base) == EMBEDDED
    plain = isinstance(recipe, LoRA) and not isinstance(recipe, QLoRA)
    return torch.bfloat16 if plain and not small and cpu_has_bf16() else torch.float32


def opened(recipe: LoRA | FullFineTune):
    """(the recipe's model as it trains, its tokenizer, what makes a batch of encoded rows)."""
    nf4 = Nf4(recipe.double_quant) if isinstance(recipe, QLoRA) else None
    model, tokenizer = load_base(recipe.base, nf4, cpu_dtype(recipe))
    if model.dtype == torch.float16 and not isinstance(recipe, LoRA):
        model = model.float()  # a GPU without bf16 (T4): gradients of fp16 weights cannot be scaled back
    model, collate = prepare(recipe, model, tokenizer.pad_token_id)
    return model, tokenizer, collate


def prepare(recipe: LoRA | FullFineTune, model, pad_token_id: int):
    """(the model as it trains, what makes a batch of encoded rows): packed if the model allows, else padded."""
    model = quicken(model)
    collate = pack if packs(model) else lambda batch: pad(batch, pad_token_id)
    return fuse_lora(wrap(recipe, model)) if isinstance(recipe, LoRA) else model, collate


def trainer_for(recipe: LoRA | FullFineTune, model, tokenizer, collate, rows: list, val_rows: list, run: Run) -> Engine:
    """The Trainer of a prepared model on encoded rows."""
    engine, make = Engine, collate
    if isinstance(recipe, DPO):
        engine, make = PreferenceEngine, lambda batch: collate_preferences(batch, collate)
    return engine(
        recipe,
        run,
        model=model,
        args=arguments(recipe, len(rows), bool(val_rows), run.folder),
        train_dataset=rows,
        eval_dataset=val_rows or None,
        data_collator=make,
        processing_class=tokenizer,
    )


def train(recipe: LoRA | FullFineTune, train: Dataset, val: Dataset, run: Run) -> None:
    """Leaves an adapter in PEFT's format in ``run.folder / "adapter"``, or a whole model in ``run.folder / "model"``.

    Goes on from the run's last whole checkpoint if there is one, to the same result bit for bit on a CPU.
    """
    started = time.perf_counter()
    checkpoint, damaged = checkpoints.newest(run.folder / "checkpoints")
    run.rewind(checkpoints.step_of(checkpoint) if checkpoint else 0)
    for name in damaged:
        run.emit(Status("running", f"{name} is damaged; going on from {checkpoint.name if checkpoint else 'the start'}"))
    set_seed(recipe.seed)
    try:
        with peak_memory() as peak:
            model, tokenizer, collate = opened(recipe)
            if isinstance(recipe, DPO):
                rows, val_rows = (preferences(part, tokenizer, model.eval(), recipe, collate) for part in (train, val))
            else:
                rows, val_rows = ([encode(tokenizer, chat, recipe.max_length) for chat in part] for part in (train, val))
            trainer = trainer_for(recipe, model, tokenizer, collate, rows, val_rows, run)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError:
        raise ModelError(
            f"{recipe.base or EMBEDDED}: {recipe.kind} does not fit the memory of this GPU; take QLoRA, a smaller batch_size "
            f"(now {recipe.batch_size}) or a shorter max_length (now {recipe.max_length}). recipe.estimate(split) says what fits"
        ) from None
    if not leads():
        return
    run.emit(Usage(trainer.state.global_step, round(time.perf_counter() - started, 2), round(peak.gib, 3)))
    path = "adapter" if isinstance(recipe, LoRA) else "model"
    if path == "adapter":
        save_adapter(recipe, trainer.model, run.folder / path)
    else:
        LocalModel(trainer.model, tokenizer, path).save(run.folder / path, replace=True)
    run.emit(Saved(step=trainer.state.global_step, path=path))
    if not run.stopping:
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)


def wrap(recipe: LoRA, model):
    """The model with a fresh adapter: A random, B zero, so that nothing changes before the first step."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.r,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets(model, recipe.target_modules),
        use_rslora=recipe.rslora,
        use_dora=recipe.dora,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise RecipeError(f"LoRA: target_modules={recipe.target_modules!r}: {str(error).splitlines()[0]}") from None


def arguments(recipe: LoRA | FullFineTune, rows: int, evaluate: bool, folder: Path) -> TrainingArguments:
    """The Trainer's settings: one log a step, nothing drawn, nothing written but what we save ourselves."""
    steps = math.ceil(math.ceil(rows / recipe.batch_size) * recipe.epochs)
    on_gpu = torch.cuda.is_available()
    bf16 = on_gpu and gpu_has_bf16()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size // world_size(),
        per_device_eval_batch_size=32,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(recipe.warmup * steps),
        seed=recipe.seed,
        eval_strategy="epoch" if evaluate else "no",
        save_strategy="steps",
        save_steps=recipe.checkpoint_every,
        logging_steps=1,
        include_num_input_tokens_seen="non_padding",
        use_cpu=not on_gpu,
        ddp_backend="gloo" if world_size() > 1 and not on_gpu else None,
        ddp_find_unused_parameters=False,
        # a base in bf16 needs no autocast under LoRA: its adapters, in fp32, are cast where they are used
        bf16=bf16 and not isinstance(recipe, LoRA),
        fp16=on_gpu and not bf16,
        optim="adamw_torch_fused",
        adam_beta2=0.95,  # looks back over some 20 steps; the usual 0.999 over 1,000, as many as a short run has
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
        report_to=[],
        remove_unused_columns=False,
    )


def pad(batch: list[dict], pad_token_id: int) -> dict[str, torch.Tensor]:
    """``input_ids`` and ``labels``, (B, T), padded on the right.

    No attention mask: attention looks back only, so no real token sees the padding after it, and padding has no label.
    """
    longest = max(len(row["input_ids"]) for row in batch)

    def fill(name: str, value: int) -> torch.Tensor:
        return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in batch])

    return {"input_ids": fill("input_ids", pad_token_id), "labels": fill("labels", IGNORE)}


def save_adapter(recipe: LoRA, model, folder: Path) -> None:
    """Writes the adapter beside ``folder``, then puts it in its place."""
    with replacing(folder) as temporary:
        write_adapter(recipe, model, temporary)


def write_adapter(recipe: LoRA, model, folder: Path) -> None:
    """Writes the adapter in PEFT's format. The base is named, not given as a path."""
    model.peft_config["default"].base_model_name_or_path = recipe.base or EMBEDDED
    model.save_pretrained(folder, save_embedding_layers=False)  # "auto" would ask the hub
