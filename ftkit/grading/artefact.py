"""What a learner hands in beside the notebook, checked without running or unpickling anything. numpy only.

The same checks run in the learner's `ft.exercise.submit()` and in the grader. A safetensors file is read by the parser
below: eight bytes of length, a JSON header, raw numbers. Keys and shapes must be exactly those of a fresh adapter (or of
the grader's own embedding model), so that nothing else can ride along.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ftkit.errors import DataError

LARGEST_HEADER = 1024 * 1024
SIZES = {"F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number, for the formats that are read."""

ALLOWED = {
    "adapter": ("adapter_model.safetensors", "adapter_config.json"),
    "embedding": ("model.safetensors",),
    "dataset": ("rows.jsonl", "job.json"),
}
"""The file names that are read, by kind of artefact; beside them the notebook and claims.json."""

CLAIMS = "claims.json"
LARGEST_JSON = 64 * 1024
LARGEST_ALPHA = 1024

LAYERS = {
    "q_proj": "self_attn", "k_proj": "self_attn", "v_proj": "self_attn", "dense": "self_attn", "fc1": "mlp", "fc2": "mlp",
}  # fmt: skip
"""The embedded Phi's linear layers and where they stand."""


@dataclass(frozen=True)
class AdapterSettings:
    """All that is taken from an adapter_config.json."""

    r: int
    alpha: float
    target_modules: tuple[str, ...]
    rslora: bool
    dora: bool


def read_header(data: bytes | memoryview, what: str) -> tuple[dict[str, tuple[str, tuple[int, ...], int, int]], int]:
    """({key: (dtype, shape, begin, end)}, where the numbers begin).

    Raises:
        DataError: not a whole, plain safetensors file of float numbers that lie side by side without gap or overlap.
    """
    if len(data) < 8:
        raise DataError(f"{what}: {len(data)} bytes are no safetensors file")
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(LARGEST_HEADER, len(data) - 8):
        raise DataError(f"{what}: not a whole safetensors file (its header would have {length:,} bytes); save it again")
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what}: the safetensors header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise DataError(f"{what}: the safetensors header is not a JSON object")
    header.pop("__metadata__", None)
    found, room = {}, len(data) - 8 - length
    for key, about in header.items():
        about = about if isinstance(about, dict) else {}
        dtype, shape, offsets = (about.get(name) for name in ("dtype", "shape", "data_offsets"))
        if dtype not in SIZES:
            raise DataError(f"{what}: {_short(key)} has numbers of type {_short(dtype)}; want {', '.join(SIZES)}")
        if not _counts(shape, 8) or not _counts(offsets, 2) or len(offsets) != 2:
            raise DataError(f"{what}: {_short(key)} has no proper shape and place")
        begin, end = offsets
        if end - begin != math.prod(shape) * SIZES[dtype] or end > room:
            raise DataError(f"{what}: {_short(key)} does not lie where its header says; the file is cut off or forged")
        found[key] = (dtype, tuple(shape), begin, end)
    spans = sorted((begin, end) for _, _, begin, end in found.values())
    ends = [0, *(end for _, end in spans)]
    if [begin for begin, _ in spans] != ends[:-1] or ends[-1] != room:
        raise DataError(f"{what}: its tensors overlap or leave gaps; the file is cut off or forged")
    return found, 8 + length


def read_tensors(path: Path, shapes: dict[str, tuple[int, ...]], what: str | None = None) -> dict[str, np.ndarray]:
    """{key: fp32 numbers} of a safetensors file that must hold exactly ``shapes``.

    Raises:
        DataError: other keys or shapes, a number that is not finite, or nothing but zeros.
    """
    what = what or Path(path).name
    data = memoryview(Path(path).read_bytes())
    header, start = read_header(data, what)
    missing, extra = sorted(shapes.keys() - header.keys()), sorted(header.keys() - shapes.keys())
    if missing or extra:
        named = ", ".join(_short(key) for key in (extra or missing)[:3])
        raise DataError(f"{what}: {len(missing)} tensors are missing and {len(extra)} do not belong here ({named})")
    tensors = {}
    for key, (dtype, shape, begin, end) in header.items():
        if shape != shapes[key]:
            raise DataError(f"{what}: {key} has shape {list(shape)}; want {list(shapes[key])}")
        tensors[key] = numbers = _fp32(data[start + begin : start + end], dtype).reshape(shape)
        if not np.isfinite(numbers).all():
            raise DataError(f"{what}: {key} holds numbers that are not finite (NaN or infinity): training diverged")
    if not any(tensor.any() for tensor in tensors.values()):
        raise DataError(f"{what}: every number is zero; this was never trained")
    return tensors


def read_adapter_config(path: Path, max_r: int, targets: tuple[str, ...]) -> AdapterSettings:
    """The five settings that shape an adapter; everything else in the file is ignored.

    Raises:
        DataError: one of the five is missing or beyond what the exercise allows.
    """
    values = read_json(path)
    what = Path(path).name
    r, alpha, names = values.get("r"), values.get("lora_alpha"), values.get("target_modules")
    rslora, dora = values.get("use_rslora", False), values.get("use_dora", False)
    if type(r) is not int or not 1 <= r <= max_r:
        raise DataError(f"{what}: r is {_short(r)}; want a whole number from 1 to {max_r}")
    if type(alpha) not in (int, float) or not 0 < alpha <= LARGEST_ALPHA:
        raise DataError(f"{what}: lora_alpha is {_short(alpha)}; want a number above 0 and up to {LARGEST_ALPHA}")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n in targets for n in names):
        raise DataError(f"{what}: target_modules is {_short(names)}; want a list of {', '.join(targets)}")
    if type(rslora) is not bool or type(dora) is not bool:
        raise DataError(f"{what}: use_rslora and use_dora must be true or false")
    return AdapterSettings(r, float(alpha), tuple(sorted(set(names))), rslora, dora)


def read_json(path: Path) -> dict:
    """The JSON object in a small file. Raises DataError."""
    what = Path(path).name
    if Path(path).stat().st_size > LARGEST_JSON:
        raise DataError(f"{what}: larger than {LARGEST_JSON >> 10} KiB")
    try:
        values = json.loads(Path(path).read_bytes(), parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what}: not JSON: {str(error)[:100]}") from None
    if not isinstance(values, dict):
        raise DataError(f"{what}: want a JSON object")
    return values


def read_claims(path: Path) -> dict[str, float]:
    """{metric: number} of claims.json; what is no finite number is left out."""
    try:
        values = read_json(path)
    except (DataError, OSError):
        return {}
    return {
        str(k)[:40]: float(v) for k, v in list(values.items())[:20] if type(v) in (int, float) and math.isfinite(v) and abs(v) < 1e9
    }


def fresh_shapes(settings: AdapterSettings) -> dict[str, tuple[int, ...]]:
    """{key: shape} of a fresh adapter with these settings on the embedded model, as PEFT would save it."""
    shapes = {}
    for name, (out, inner) in base_linears().items():
        if name.rpartition(".")[2] not in settings.target_modules:
            continue
        key = f"base_model.model.{name}"
        shapes[f"{key}.lora_A.weight"] = (settings.r, inner)
        shapes[f"{key}.lora_B.weight"] = (out, settings.r)
        if settings.dora:
            shapes[f"{key}.lora_magnitude_vector"] = (out,)
    return shapes


@cache
def base_linears() -> dict[str, tuple[int, int]]:
    """{module: (out, in)} of the embedded model's linear layers but the head, from its own file."""
    path = Path(__file__).parents[1] / "models" / "phi-11m" / "model.safetensors"
    header, _ = read_header(path.read_bytes(), path.name)
    return {
        key.removesuffix(".weight"): shape
        for key, (_, shape, _, _) in header.items()
        if len(shape) == 2 and key.split(".")[-2] in LAYERS
    }


def read_adapter(folder: Path, max_r: int, targets: tuple[str, ...]) -> tuple[AdapterSettings, dict[str, np.ndarray]]:
    """(settings, tensors) of the adapter in ``folder``. Raises DataError for the first thing that is not right."""
    for name in ALLOWED["adapter"]:
        if not (folder / name).is_file():
            raise DataError(f"{name}: missing; hand in what run.folder / 'adapter' holds")
    settings = read_adapter_config(folder / "adapter_config.json", max_r, targets)
    tensors = read_tensors(folder / "adapter_model.safetensors", fresh_shapes(settings))
    if not any(tensors[key].any() for key in tensors if key.endswith("lora_B.weight")):
        raise DataError("adapter_model.safetensors: B is zero everywhere, so the adapter changes nothing: it was not trained")
    return settings, tensors


def fingerprint(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of the numbers: equal for equal weights, however the file was written."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        digest.update(key.encode() + b"\0" + np.ascontiguousarray(tensors[key], "<f4").tobytes())
    return digest.hexdigest()


def signature(tensors: dict[str, np.ndarray], size: int = 64) -> list[float]:
    """``size`` random projections of what was learnt, scaled to length 1: nearly equal weights, nearly equal signatures.

    Of an adapter the products B·A count: they start at zero, and stay the same when its ranks are shuffled or padded.
    """
    learnt = {
        key: value @ tensors[key.replace("lora_B", "lora_A")] for key, value in tensors.items() if key.endswith("lora_B.weight")
    }
    learnt = learnt or tensors
    total = np.zeros(size)
    for number, key in enumerate(sorted(learnt)):
        rng = np.random.default_rng(number)
        values = learnt[key].reshape(-1)
        places = rng.integers(0, size, values.size)
        signs = rng.choice(np.array([-1.0, 1.0]), values.size)
        total += np.bincount(places, weights=values * signs, minlength=size)
    norm = float(np.linalg.norm(total))
    return [round(x, 6) for x in (total / norm if norm else total).tolist()]


def _fp32(data: memoryview, dtype: str) -> np.ndarray:
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[dtype]).astype("<f4")


def _counts(value, longest: int) -> bool:
    return isinstance(value, list) and len(value) <= longest and all(type(n) is int and 0 <= n < 2**40 for n in value)


def _once(pairs) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
