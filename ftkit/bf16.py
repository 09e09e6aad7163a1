"""When bf16 pays: what the hardware multiplies. Nothing heavier than torch, so that `doctor` can ask where other libraries are broken."""

import os

import torch


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware (AVX512-BF16 or AMX) and torch may use it.

    Without, bf16 is about a hundred times slower than fp32. ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA can forbid it.
    """
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    avx512 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    if not (avx512 and any(name in allowed for name in ("ALL", "BF16", "AMX"))):
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def gpu_has_bf16() -> bool:
    """Whether this GPU multiplies bf16 in hardware; a T4 only emulates it, which torch counts unless it is told not to."""
    return torch.cuda.is_bf16_supported(including_emulation=False)
