"""What our trainers share on top of Hugging Face's: events, a stop on request, and whole checkpoints."""

import shutil

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from transformers import TrainerCallback

from ftkit import checkpoints
from ftkit.errors import RunError
from ftkit.events import Step, Val
from ftkit.lang import say
from ftkit.ranks import leads
from ftkit.run import Run


def any_of(flag: bool, device) -> bool:
    """Whether the flag is up in any of the processes: the same answer in all of them."""
    if not dist.is_initialized():
        return flag
    flags = torch.tensor(float(flag), device=device)
    dist.all_reduce(flags, dist.ReduceOp.MAX)
    return bool(flags)


def wait() -> None:
    """Returns once every process is here."""
    if dist.is_initialized():
        dist.barrier()


class Speaker(TrainerCallback):
    """Turns what the Trainer reports into events, and a wish to stop into a stop after the current step."""

    def __init__(self, run: Run):
        self.run = run
        self.epoch_ends = False

    def on_step_end(self, args, state, control, **kwargs):
        self.epoch_ends = state.epoch % 1 == 0 or state.global_step == state.max_steps
        control.should_save &= not self.epoch_ends  # that checkpoint waits for the validation, or resuming would lose it

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.run.emit(
                Step(
                    step=state.global_step,
                    steps=state.max_steps,
                    loss=float(logs["loss"]),
                    learning_rate=float(logs["learning_rate"]),
                    tokens=int(state.num_input_tokens_seen),
                    accuracy=logs.get("accuracy"),
                )
            )
        elif "eval_loss" in logs:
            self.run.emit(Val(state.global_step, float(logs["eval_loss"]), logs.get("accuracy")))
        if any_of(self.run.stopping, args.device):
            self.run.cancel()
        control.should_training_stop |= self.run.stopping
        control.should_save |= self.run.stopping and not self.epoch_ends

    def on_epoch_end(self, args, state, control, **kwargs):  # also comes when a stop breaks the epoch off
        control.should_evaluate &= self.epoch_ends
        control.should_save = self.epoch_ends


class WholeCheckpoints:
    """Mixed into a Trainer with an attribute ``folder``: its checkpoints appear there whole, or not at all."""

    def _get_output_dir(self, trial) -> str:
        return str(self.folder / "writing")

    def _save_checkpoint(self, model, trial) -> None:
        if leads():
            shutil.rmtree(self.folder / "writing", ignore_errors=True)
        wait()
        try:
            super()._save_checkpoint(model, trial)  # the leader all but the others' random states
            wait()
            if leads():
                checkpoints.place(self.folder / "writing" / f"checkpoint-{self.state.global_step}", self.folder)
        except (OSError, SafetensorError, RuntimeError) as error:
            last, _ = checkpoints.newest(self.folder)
            kept = say(f"{last.name} is intact: make room and call run.resume(split)" if last else "there was none before it")
            raise RunError(
                f"{self.folder}: the checkpoint of step {self.state.global_step} could not be written "
                f"({(str(error).splitlines() or [type(error).__name__])[0]}); {kept}"
            ) from None
        finally:
            if leads():
                shutil.rmtree(self.folder / "writing", ignore_errors=True)
