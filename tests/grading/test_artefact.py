"""Our own reading of adapters, against PEFT and safetensors as oracles. The zoo holds the hostile files."""

import json

import numpy as np
import pytest

from ftkit.errors import DataError
from ftkit.grading import artefact

TARGETS = ("q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2")


@pytest.fixture(scope="module")
def base():
    from ftkit.local.model import load_base

    return load_base(None)[0]


@pytest.mark.parametrize(("r", "targets", "dora"), [(4, TARGETS, False), (1, ("v_proj",), False), (8, ("q_proj", "fc2"), True)])
def test_keys_and_shapes_are_those_of_a_fresh_adapter_of_peft(base, r, targets, dora):
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    model = get_peft_model(deepcopy(base), LoraConfig(task_type="CAUSAL_LM", r=r, target_modules=list(targets), use_dora=dora))
    want = {key: tuple(value.shape) for key, value in get_peft_model_state_dict(model).items()}
    assert artefact.fresh_shapes(artefact.AdapterSettings(r, 8, targets, False, dora)) == want


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_numbers_are_read_as_safetensors_reads_them(tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    values = {"a": torch.randn(3, 5).to(getattr(torch, dtype)), "b": torch.randn(7).to(getattr(torch, dtype))}
    save_file(values, tmp_path / "x.safetensors", metadata={"format": "pt"})
    got = artefact.read_tensors(tmp_path / "x.safetensors", {"a": (3, 5), "b": (7,)})
    for key, value in values.items():
        np.testing.assert_array_equal(got[key], value.float().numpy())


def test_the_fingerprint_is_that_of_the_numbers_and_not_of_the_file(tmp_path):
    values = {"a.lora_B.weight": np.float32([[1.5, -2]]), "a.lora_A.weight": np.float32([[0.25]])}
    assert artefact.fingerprint(values) == artefact.fingerprint(dict(reversed(values.items())))
    assert artefact.fingerprint(values) != artefact.fingerprint({**values, "a.lora_A.weight": np.float32([[0.5]])})


def test_signatures_tell_a_copy_with_noise_from_another_training():
    rng = np.random.default_rng(0)
    one, other = ({"x.lora_A.weight": rng.normal(size=(16, 300)), "x.lora_B.weight": rng.normal(size=(300, 16))} for _ in range(2))
    noisy = {key: value + 1e-3 * rng.normal(size=value.shape) for key, value in one.items()}
    cosine = lambda a, b: float(np.dot(artefact.signature(a), artefact.signature(b)))  # noqa: E731
    assert cosine(one, noisy) > 0.999 > 0.6 > abs(cosine(one, other))


def test_a_copy_with_its_ranks_shuffled_padded_and_scaled_is_still_alike():
    """All of these compute what the original computes, from other numbers."""
    rng = np.random.default_rng(0)
    a, b, order = rng.normal(size=(8, 300)), rng.normal(size=(300, 8)), rng.permutation(8)
    other = {"x.lora_A.weight": np.vstack([2 * a[order], 0 * a]), "x.lora_B.weight": np.hstack([b[:, order] / 2, 0 * b])}
    assert np.dot(artefact.signature({"x.lora_A.weight": a, "x.lora_B.weight": b}), artefact.signature(other)) > 0.9999


def test_equal_starts_alone_do_not_make_two_adapters_alike():
    """A is drawn from the seed; two learners with one seed share it and still learn different B."""
    rng = np.random.default_rng(0)
    shared = {"x.lora_A.weight": rng.normal(size=(16, 300))}
    one, other = ({**shared, "x.lora_B.weight": 0.01 * rng.normal(size=(300, 16))} for _ in range(2))
    assert abs(np.dot(artefact.signature(one), artefact.signature(other))) < 0.6


@pytest.mark.parametrize("change", [
    {"r": 0}, {"r": True}, {"r": 4.0}, {"r": 65}, {"lora_alpha": 0}, {"lora_alpha": "8"}, {"lora_alpha": True}, {"target_modules": []},
    {"target_modules": "all-linear"}, {"target_modules": ["lm_head"]}, {"target_modules": [["q_proj"]]}, {"use_dora": 1}, {"use_rslora": None},
])  # fmt: skip
def test_settings_beyond_the_exercise_are_refused(tmp_path, change):
    good = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "use_rslora": False, "use_dora": False}
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(good), encoding="utf-8")
    assert artefact.read_adapter_config(path, 64, TARGETS) == artefact.AdapterSettings(4, 8.0, ("q_proj",), False, False)
    path.write_text(json.dumps({**good, **change}), encoding="utf-8")
    with pytest.raises(DataError, match="adapter_config.json"):
        artefact.read_adapter_config(path, 64, TARGETS)


@pytest.mark.parametrize("text", ['{"json_fields": "0.9"}', '{"json_fields": NaN}', '{"json_fields": true}', "[1]", "x", '{"a": 1e999}'])
def test_a_claim_that_is_no_number_is_no_claim(tmp_path, text):
    path = tmp_path / "claims.json"
    path.write_text(text, encoding="utf-8")
    assert artefact.read_claims(path) == {}


def test_weights_in_16_bits_keep_names_shapes_and_nearly_the_numbers(tmp_path):
    import torch
    from safetensors.torch import load, save_file

    from ftkit.exercise import halved

    values = {"b": torch.randn(4, 6), "a": torch.randn(3)}
    save_file(values, tmp_path / "model.safetensors")
    small = halved((tmp_path / "model.safetensors").read_bytes())
    got = load(small)
    assert {k: (v.dtype, v.shape) for k, v in got.items()} == {k: (torch.float16, v.shape) for k, v in values.items()}
    for key in values:
        torch.testing.assert_close(got[key].float(), values[key], atol=2e-3, rtol=1e-3)
