"""A language model in memory: load it, ask it, merge its adapter, save it."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging

from ftkit.bf16 import gpu_has_bf16
from ftkit.errors import ModelError
from ftkit.files import replacing
from ftkit.lang import say
from ftkit.local import EMBEDDED
from ftkit.local.chat import prompt_text, use_template

logging.disable_progress_bar()
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # PEFT asks for it

BATCH = 32
"""Prompts answered together."""


@contextmanager
def quiet() -> Iterator[None]:
    """No hints of transformers inside, only its errors."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


@dataclass(frozen=True)
class Completion:
    """One answer and what it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    """"stop": the model ended, or a stop text came; "length": it was cut at max_tokens."""


@dataclass(frozen=True)
class Nf4:
    """How a base is stored in 4 bits: NormalFloat-4 in blocks of 64, the blocks' scales in 8 bits if ``double``."""

    double: bool = True


class LocalModel:
    """A causal language model with its tokenizer and, maybe, adapters. Made by `LocalModel.load`."""

    def __init__(self, model, tokenizer, name: str, nf4: Nf4 | None = None):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.nf4 = nf4
        """How the base is stored in 4 bits; None: it is not."""
        self._base: str | os.PathLike | None = None
        self.in_use: str | None = model.active_adapter if isinstance(model, PeftModel) else None
        """The adapter that answers; None: the base alone."""

    def __repr__(self) -> str:
        millions = sum(p.numel() for p in self.model.parameters()) / 1e6
        return f"LocalModel({self.name} · {millions:.1f} M parameters)"

    @classmethod
    def load(
        cls, base: str | os.PathLike | None = None, adapter: str | os.PathLike | None = None, nf4: Nf4 | None = None
    ) -> "LocalModel":
        """The model ``base`` (None: the embedded one), with the PEFT adapter in the folder ``adapter`` on it.

        With ``nf4`` the base's linear layers but the head are stored in 4 bits.

        Raises:
            ModelError: unknown, gated or damaged model; missing or unfitting adapter.
        """
        model, tokenizer = load_base(base, nf4)
        loaded = cls(model, tokenizer, f"{base or EMBEDDED}, 4 bits" if nf4 else str(base or EMBEDDED), nf4)
        loaded._base = base
        if adapter is not None:
            loaded.add_adapter("default", adapter)
            loaded.name += " + adapter"
        return loaded

    def add_adapter(self, name: str, folder: str | os.PathLike) -> "LocalModel":
        """This model with one more adapter on its base, in use from now on; `use` switches between them.

        Raises:
            ModelError: the name is taken, or the folder holds no adapter, or one that does not fit the base.
        """
        folder = Path(folder)
        if name in self.adapters:
            raise ModelError(f"{self.name}: has an adapter named {name!r} already; choose another name")
        if not (folder / "adapter_model.safetensors").exists():
            raise ModelError(f"{folder}: no adapter here (adapter_model.safetensors is missing); did the run fail?")
        try:
            if isinstance(self.model, PeftModel):
                self.model.load_adapter(str(folder), name)
            else:
                self.model = PeftModel.from_pretrained(self.model, str(folder), name)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder}: the adapter does not fit {self.name}: {_first_line(error)}") from None
        self.model.eval()
        return self.use(name)

    def remove_adapter(self, name: str) -> "LocalModel":
        """This model without the adapter ``name``, answering with the base alone.

        Raises:
            ModelError: there is no adapter of that name.
        """
        others = [one for one in self.use(name).adapters if one != name]
        if others:
            self.use(others[0])  # PEFT would warn while it chooses another one itself
            self.model.delete_adapter(name)
        else:
            self.model = self.model.unload()  # a PeftModel without adapters cannot answer
        return self.use(None)

    @property
    def adapters(self) -> list[str]:
        """The names of the adapters on the base, in the order they came."""
        return list(self.model.peft_config) if isinstance(self.model, PeftModel) else []

    def use(self, name: str | None) -> "LocalModel":
        """This model, answering from now on with the adapter ``name``; None: the base alone.

        Raises:
            ModelError: there is no adapter of that name.
        """
        if name is not None and name not in self.adapters:
            raise ModelError(f"{self.name}: no adapter named {name!r}; there are: {', '.join(self.adapters) or say('none')}")
        if isinstance(self.model, PeftModel):
            (self.model.base_model.enable_adapter_layers if name else self.model.base_model.disable_adapter_layers)()
        if name is not None:
            self.model.set_adapter(name, inference_mode=True)
        self.in_use = name
        return self

    @property
    def context(self) -> int:
        """The most tokens, prompt and answer together, the model was made for."""
        return self.model.config.max_position_embeddings

    def complete(
        self,
        batch: Sequence[list[dict]],
        max_tokens: int = 256,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        """An answer to each list of messages. Temperature 0 always takes the likeliest token.

        Raises:
            ModelError: a prompt that leaves no room for an answer.
        """
        prompts = [prompt_text(self.tokenizer, messages) for messages in batch]
        answers: list[Completion] = []
        with torch.random.fork_rng(enabled=temperature > 0):
            if temperature > 0 and seed is not None:
                torch.manual_seed(seed)
            for start in range(0, len(prompts), BATCH):
                answers += self._complete(prompts[start : start + BATCH], max_tokens, temperature, top_p, stop)
        return answers

    def replies(self, batch: Sequence[list[dict]], max_tokens: int = 256) -> list[str]:
        """The likeliest answer to each list of messages."""
        return [completion.text for completion in self.complete(batch, max_tokens)]

    def reply(self, prompt: str | list[dict], max_tokens: int = 256) -> str:
        """The likeliest answer to one user text or list of messages."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        return self.replies([messages], max_tokens)[0]

    @torch.inference_mode()
    def logits(self, text: str) -> torch.Tensor:
        """The next-token scores at every position of ``text``: (T, V), fp32."""
        inputs = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).to(self.model.device)
        return self.model(**inputs).logits[0].float()

    def merge(self, four_bit: bool = False) -> "LocalModel":
        """A plain model with the adapter in use added into a copy of the base's weights: W = W₀ + (α/r)·B·A.

        A base in 4 bits is first brought back to plain numbers, exactly those the adapter was trained on; the result is
        not in 4 bits.

        Raises:
            ModelError: there is no adapter, ``four_bit`` is asked for, or the merged model's scores differ from the
                unmerged one's.
        """
        if four_bit:
            raise ModelError(
                f"{self.name}: not merged into 4 bits: rounding W₀ + (α/r)·B·A to the 16 levels again loses much of what "
                "the adapter learnt. Use merge(), or keep the adapter beside the 4-bit base"
            )
        if self.in_use is None:
            raise ModelError(f"{self.name}: has no adapter to merge" + (say(" in use; call use(name)") if self.adapters else ""))
        from copy import deepcopy

        plain = self._dequantized() if self.nf4 else deepcopy(self.model)
        merged = LocalModel(plain.merge_and_unload(), self.tokenizer, f"{self.name}, merged")
        probe = prompt_text(self.tokenizer, [{"role": "user", "content": "Where is my order 74937?"}])
        error = (merged.logits(probe) - self.logits(probe)).abs().max().item()
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.25
        if not error <= tolerance:
            raise ModelError(f"{self.name}: merging changed a score by {error:.2g}, more than {tolerance}; not merged")
        return merged

    def _dequantized(self) -> PeftModel:
        """The base brought back from 4 bits, with the adapter in use on it."""
        base, _ = load_base(self._base, self.nf4)
        config = replace(self.model.peft_config[self.in_use], base_model_name_or_path=base.name_or_path)
        with quiet():
            base = base.dequantize()
        plain = get_peft_model(base, config)
        learnt = get_peft_model_state_dict(self.model, adapter_name=self.in_use, save_embedding_layers=False)
        set_peft_model_state_dict(plain, learnt)
        return plain

    def save(self, folder: str | os.PathLike, replace: bool = False) -> Path:
        """The folder, now holding model and tokenizer as plain transformers reads them (safetensors).

        Raises:
            ModelError: the folder exists already and ``replace`` is not given, or the model is not merged.
        """
        folder = Path(folder)
        if isinstance(self.model, PeftModel):
            raise ModelError(f"{self.name}: merge() first; the adapter alone is in its run's folder already")
        if folder.exists() and not replace:
            raise ModelError(f"{folder}: exists already and is left as it is; choose another folder")
        with replacing(folder) as temporary:
            self.model.save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
        return folder

    @torch.inference_mode()
    def _complete(self, prompts, max_tokens, temperature, top_p, stop) -> list[Completion]:
        tokenizer = self.tokenizer
        inputs = tokenizer(
            prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
        ).to(self.model.device)
        room = self.context - inputs.input_ids.shape[1]
        if room < 1:
            raise ModelError(f"{self.name}: a prompt of {inputs.input_ids.shape[1]} tokens fills its {self.context}")
        sampling = {"do_sample": True, "temperature": temperature, "top_p": top_p} if temperature > 0 else {"do_sample": False}
        ids = self.model.generate(
            **inputs, max_new_tokens=min(max_tokens, room), pad_token_id=tokenizer.pad_token_id, **sampling
        )[:, inputs.input_ids.shape[1] :]
        prompt_tokens = inputs.attention_mask.sum(1).tolist()
        return [self._finish(answer, count, stop) for answer, count in zip(ids.tolist(), prompt_tokens)]

    def _finish(self, ids: list[int], prompt_tokens: int, stop: Sequence[str]) -> Completion:
        ends = self.model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        end = next((i for i, token in enumerate(ids) if token in ends), None)
        text = self.tokenizer.decode(ids[:end], skip_special_tokens=True).strip()
        cuts = [at for one in stop if (at := text.find(one)) >= 0]
        if cuts:
            text = text[: min(cuts)]
        used = len(ids) if end is None else end + 1
        return Completion(text, prompt_tokens, used, "stop" if cuts or end is not None else "length")


def load_base(base: str | os.PathLike | None = None, nf4: Nf4 | None = None, cpu_dtype: torch.dtype | None = None):
    """(model, tokenizer) of a base: the embedded one, a local folder, or an id of the hub. Never runs remote code.

    fp32, or ``cpu_dtype``, on a CPU; on a GPU bf16 where the hardware has it, else fp16. With ``nf4`` the linear layers but the head are
    stored in 4 bits and computed in that format.

    Raises:
        ModelError: nothing by that name, no access, files that cannot be read, or 4 bits without bitsandbytes or, on a CPU, on layers
            whose width is no multiple of 64.
    """
    if nf4 and find_spec("bitsandbytes") is None:
        raise ModelError(
            "QLoRA needs bitsandbytes, which is not installed: pip install bitsandbytes. Or take ft.LoRA, the same without 4 bits"
        )
    source = resolve(base)
    if torch.cuda.is_available():
        dtype = torch.bfloat16 if gpu_has_bf16() else torch.float16
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"  # with several processes, each has a GPU of its own
    else:
        dtype, device = cpu_dtype or torch.float32, "cpu"
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, **_quantized(nf4, dtype, device))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # the hub, the file system, safetensors and config parsing each raise their own
        raise ModelError(_why(base, error)) from None
    use_template(tokenizer)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        _add_pad(tokenizer, model)
    if nf4:
        for module in model.modules():  # bitsandbytes would repack the weights at the first answer, and training go wrong
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        _refuse_cut_blocks(model, base, device)
        return model, tokenizer
    return model.to(device), tokenizer


def _refuse_cut_blocks(model, base, device: str) -> None:
    """On processors with AVX512 bitsandbytes 0.50 gives the scale of one block of 64 to the next where a row ends within a block."""
    for name, module in model.named_modules():
        width = getattr(module, "in_features", 0)
        if device == "cpu" and hasattr(module, "support_avx512bf16_for_cpu") and width % 64:
            raise ModelError(
                f"{base}: not in 4 bits on a CPU: {name} takes {width} numbers, no multiple of 64, and bitsandbytes may read such "
                "layers wrongly there. Take ft.LoRA, the same without 4 bits"
            )


def _quantized(nf4: Nf4 | None, dtype: torch.dtype, device: str) -> dict:
    """What ``from_pretrained`` wants to know about 4 bits."""
    if nf4 is None:
        return {}
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nf4.double, bnb_4bit_compute_dtype=dtype
    )
    return {"quantization_config": config, "device_map": {"": device}}


def resolve(base: str | os.PathLike | None) -> str:
    """What transformers should open for ``base``."""
    if base is None or str(base) == EMBEDDED:
        return str(Path(__file__).parents[1] / "models" / "phi-11m")
    if Path(base).is_dir() and not (Path(base) / "config.json").exists():
        raise ModelError(f"{base}: this folder holds no model (config.json is missing)")
    return str(base)


def _add_pad(tokenizer, model) -> None:
    """A pad token of its own: with pad = eos the end of an answer would carry no loss and never be learnt."""
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    model.config.pad_token_id = tokenizer.pad_token_id


def _why(base, error: Exception) -> str:
    text = f"{type(error).__name__} {error}".lower()
    if "gated" in text or "401" in text or "403" in text:
        return say(
            f"{base}: the hub wants you to accept this model's terms; do so on its page, then set HF_TOKEN "
            "(or run `hf auth login`)"
        )
    if Path(str(base)).is_dir() or base is None:
        return say(f"{base or EMBEDDED}: the model's files cannot be read: {_first_line(error)}")
    return say(
        f"{base}: no such folder, and no such model on the hub or the hub is out of reach; check the spelling and the "
        f"connection, or leave base=None for {EMBEDDED} ({type(error).__name__})"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
