"""The engine behind `Embed`: SentenceTransformerTrainer, kept quiet, reporting to the run, stopping on request."""

import math
from pathlib import Path

import datasets
import torch
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from transformers import PrinterCallback, TrainerCallback

from ftkit.data import Dataset
from ftkit.embed.model import load_base, quiet
from ftkit.embed.recipe import Embed
from ftkit.events import Saved, Step, Val
from ftkit.files import replacing
from ftkit.run import Run

LOSSES = {"mnrl": MultipleNegativesRankingLoss}


class _Trainer(SentenceTransformerTrainer):
    def add_model_card_callback(self, default_args_dict):
        """No card: writing one asks the hub about the model and quotes training rows."""


class _Report(TrainerCallback):
    """Tells the run about every step, and the trainer that the run wants to stop."""

    def __init__(self, run: Run):
        self.run = run
        self.learning_rate = 0.0

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.learning_rate = optimizer.param_groups[0]["lr"]  # later the schedule has moved on to the next step's

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.run.emit(Step(state.global_step, state.max_steps, logs["loss"], self.learning_rate))
        if self.run.stopping:
            control.should_training_stop = True


def _arguments(recipe: Embed, folder: Path, rows: int) -> SentenceTransformerTrainingArguments:
    cuda = torch.cuda.is_available()
    steps = recipe.epochs * math.ceil(rows / recipe.batch_size)
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=round(recipe.warmup * steps),
        seed=recipe.seed,
        # a positive that stands twice in a batch would be a wrong answer to itself
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        bf16=cuda and torch.cuda.is_bf16_supported(including_emulation=False),  # a T4 only emulates it, slowly
        dataloader_pin_memory=cuda,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def _columns(pairs: Dataset) -> datasets.Dataset:
    """The pairs in memory, so that nothing is written to the cache of ``datasets``."""
    return datasets.Dataset.from_dict({"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]})


def train(recipe: Embed, train: Dataset, val: Dataset, run: Run) -> None:
    """Train the recipe's base on the pairs of ``train`` and save it to ``model/`` in the run's folder."""
    model = load_base(recipe.base).transformer
    own_length, model.max_seq_length = model.max_seq_length, min(recipe.max_length, model.max_seq_length)
    trainer = _Trainer(
        model=model,
        args=_arguments(recipe, run.folder, len(train)),
        train_dataset=_columns(train),
        eval_dataset=_columns(val) if len(val) else None,
        loss=LOSSES[recipe.loss](model),
        callbacks=[_Report(run)],
    )
    trainer.remove_callback(PrinterCallback)

    def validate() -> None:
        if len(val) and not run.stopping:
            run.emit(Val(trainer.state.global_step, trainer.evaluate()["eval_loss"]))

    with quiet():
        validate()
        if run.stopping:
            return  # nothing learnt, nothing to keep
        trainer.train()
        validate()
        model.max_seq_length = own_length
        with replacing(run.folder / "model") as folder:
            model.save_pretrained(str(folder), create_model_card=False)
    run.emit(Saved(trainer.state.global_step, "model"))
