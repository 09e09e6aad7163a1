"""The engine behind `Embed`: SentenceTransformerTrainer, kept quiet, reporting to the run, stopping on request.

B is the batch, C its columns (anchor, positive, negatives), D the numbers of a vector.
"""

import math
import shutil
import warnings
from pathlib import Path

import datasets
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, CosineSimilarityLoss, MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from transformers import PrinterCallback, set_seed

from ftkit import checkpoints
from ftkit.bf16 import cpu_has_bf16, gpu_has_bf16
from ftkit.data import Dataset, Pair
from ftkit.embed.batches import ON_GPU, TRAINED, embed, pack, token_ids
from ftkit.embed.mining import hard_negatives
from ftkit.embed.model import load_base, quiet
from ftkit.embed.recipe import Embed
from ftkit.errors import RecipeError
from ftkit.events import Saved, Status, Val
from ftkit.files import replacing
from ftkit.run import Run
from ftkit.trainer import Speaker, WholeCheckpoints

LOSSES = {"mnrl": MultipleNegativesRankingLoss, "cosent": CoSENTLoss, "cosine": CosineSimilarityLoss}

class _Speaker(Speaker):
    """Reports the learning rate a step was made with; by the time of the log the schedule has moved on to the next."""

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.learning_rate = optimizer.param_groups[0]["lr"]

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            logs = {**logs, "learning_rate": self.learning_rate}
        super().on_log(args, state, control, logs=logs, **kwargs)


class _Trainer(WholeCheckpoints, SentenceTransformerTrainer):
    """The library's trainer with batches that are hardly padded, and checkpoints of what learns only."""

    def __init__(self, recipe: Embed, run: Run, **kwargs):
        self.recipe, self.folder = recipe, run.folder / "checkpoints"
        super().__init__(callbacks=[_Speaker(run)], **kwargs)
        self.remove_callback(PrinterCallback)  # engines speak by events only

    def add_model_card_callback(self, default_args_dict):
        """No card: writing one asks the hub about the model and quotes training rows."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        if self.model.training:
            self.state.num_input_tokens_seen += inputs["tokens"]
        vectors = embed(model, inputs["packed"], inputs["places"], self.recipe.recompute and self.model.training)  # (C·B, D)
        columns = vectors.chunk(inputs["columns"])
        sizes = self.recipe.matryoshka or (vectors.shape[1],)
        # every loss compares by cosine, so a shortened vector needs no normalising
        loss = sum(self.loss.compute_loss_from_embeddings([one[:, :n] for one in columns], inputs["label"]) for n in sizes)
        return (loss, {}) if return_outputs else loss

    def _save_checkpoint(self, model, trial) -> None:
        if self.state.global_step < self.state.max_steps:  # at the end the model itself is saved, right away
            super()._save_checkpoint(model, trial)

    def _save(self, output_dir=None, state_dict=None) -> None:
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        save_file(_learning(self.model), Path(output_dir) / "learning.safetensors")

    def _load_from_checkpoint(self, checkpoint: str) -> None:
        saved = load_file(Path(checkpoint) / "learning.safetensors")
        with torch.no_grad():
            for name, weights in _learning(self.model).items():
                weights.copy_(saved[name])


def _learning(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weights.detach() for name, weights in model.named_parameters() if weights.requires_grad}


def bf16() -> bool:
    """Whether this machine computes faster in bf16; a T4 only emulates it."""
    return gpu_has_bf16() if torch.cuda.is_available() else cpu_has_bf16()


def arguments(recipe: Embed, folder: Path, rows: int) -> SentenceTransformerTrainingArguments:
    """The Trainer's settings: one log a step, nothing drawn, nothing written but what we save ourselves."""
    cuda = torch.cuda.is_available()
    steps = recipe.epochs * math.ceil(rows / recipe.batch_size)
    # a positive that stands twice in a batch would be a wrong answer to itself
    once = BatchSamplers.NO_DUPLICATES if recipe.loss == "mnrl" else BatchSamplers.BATCH_SAMPLER
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * steps),
        seed=recipe.seed,
        batch_sampler=once,
        use_cpu=not cuda,
        bf16=bf16(),
        dataloader_pin_memory=cuda,
        logging_steps=1,
        save_strategy="steps",
        save_steps=recipe.checkpoint_every,
        report_to=[],
        disable_tqdm=True,
    )


def columns(rows: Dataset, negatives: list[tuple[str, ...]] = ()) -> datasets.Dataset:
    """The rows in memory, so that nothing is written to the cache of ``datasets``."""
    if not isinstance(rows[0], Pair):
        texts = {"sentence1": [row.sentence1 for row in rows], "sentence2": [row.sentence2 for row in rows]}
        return datasets.Dataset.from_dict(texts | {"score": [float(row.score) for row in rows]})
    texts = {"anchor": [row.anchor for row in rows], "positive": [row.positive for row in rows]}
    texts |= {f"negative_{n}": list(column) for n, column in enumerate(zip(*negatives), start=1)}
    return datasets.Dataset.from_dict(texts)


class Collator:
    """Rows to one packed batch: all anchors, then all positives, then the negatives, column by column."""

    valid_label_columns = ("score",)  # the Trainer asks for it

    def __init__(self, transformer: SentenceTransformer):
        self.transformer = transformer
        self.pad_id = transformer.tokenizer.pad_token_id or 0
        self.tokens = ON_GPU if torch.cuda.is_available() else TRAINED

    def __call__(self, rows: list[dict]) -> dict:
        names = [name for name in rows[0] if name != "score"]
        ids = token_ids(self.transformer, [row[name] for name in names for row in rows])
        packed, places = pack(ids, self.tokens, self.pad_id)
        return {
            "label": torch.tensor([row.get("score", 0.0) for row in rows]),  # first: the Trainer takes its length as B
            "packed": packed,
            "places": places,
            "columns": len(names),
            "tokens": sum(len(one) for one in ids),
        }


def train(recipe: Embed, train: Dataset, val: Dataset, run: Run) -> None:
    """Train the recipe's base on the rows of ``train`` and save it to ``model/`` in the run's folder.

    Goes on from the run's last whole checkpoint if there is one, to the same result bit for bit on a CPU.
    """
    checkpoint, damaged = checkpoints.newest(run.folder / "checkpoints")
    run.rewind(checkpoints.step_of(checkpoint) if checkpoint else 0)
    for name in damaged:
        run.emit(Status("running", f"{name} is damaged; going on from {checkpoint.name if checkpoint else 'the start'}"))
    base = load_base(recipe.base)
    model = base.transformer
    size = model.get_embedding_dimension()
    if too_long := [one for one in recipe.matryoshka if one > size]:
        raise RecipeError(f"Embed: matryoshka holds {too_long[0]}, but the vectors of {base.name} have {size} numbers")
    negatives = hard_negatives(base, train, recipe.negatives, recipe.seed) if recipe.negatives else ()
    set_seed(recipe.seed)
    own_length, model.max_seq_length = model.max_seq_length, min(recipe.max_length, model.max_seq_length)
    adapter = wrap(recipe, model) if recipe.r else None
    trainer = _Trainer(
        recipe,
        run,
        model=model,
        args=arguments(recipe, run.folder, len(train)),
        train_dataset=columns(train, negatives),
        eval_dataset=columns(val) if len(val) else None,
        loss=LOSSES[recipe.loss](model),
        data_collator=Collator(model),
    )
    with quiet():
        if len(val) and not any(isinstance(event, Val) for event in run.history):
            trainer.evaluate()
        if run.stopping:
            return  # nothing learnt, nothing to keep
        set_seed(recipe.seed)  # whether or not the validation loss was measured just now
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if len(val) and not run.stopping:
            trainer.evaluate()
        if adapter:
            adapter.merge_and_unload()
        model.max_seq_length = own_length
        with replacing(run.folder / "model") as folder:
            model.save_pretrained(str(folder), create_model_card=False)
    run.emit(Saved(trainer.state.global_step, "model"))
    if not run.stopping:
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)


def wrap(recipe: Embed, model: SentenceTransformer):
    """A fresh LoRA adapter inside ``model``, whose other weights are frozen."""
    from peft import LoraConfig, get_peft_model  # takes seconds to open: not for those who do without

    config = LoraConfig(task_type="FEATURE_EXTRACTION", r=recipe.r, lora_alpha=recipe.alpha, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT still uses a name that transformers is about to drop
        return get_peft_model(model[0].auto_model, config)
