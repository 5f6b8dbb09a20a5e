#!/usr/bin/env python3
"""Writes tests/quant/data/decode.bin: random blocks of every type and the floats they stand for.

The floats come from the `gguf` package (pip install gguf) where it decodes a type; plain numbers, Q8_1 and Q8_K,
which it does not, from numpy by their layout. Blocks whose values are not all finite are drawn again.
Record: u32 type, u32 values, u32 bytes, the bytes, the values as f32; little-endian.
Usage: quant_vectors.py > tests/quant/data/decode.bin
"""
import struct
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T, quants

PLAIN = {T.F32: "<f4", T.F16: "<f2", T.F64: "<f8", T.I8: "<i1", T.I16: "<i2", T.I32: "<i4", T.I64: "<i8"}
QUANTIZED = [
    T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q8_1, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K, T.Q8_K, T.IQ1_S, T.IQ1_M,
    T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_NL, T.IQ4_XS, T.TQ1_0, T.TQ2_0, T.MXFP4, T.BF16,
]
rng = np.random.default_rng(20240517)


def layout(kind):
    """Values and bytes of one block."""
    if kind == T.Q8_1:
        return 32, 36  # two F16; the package still lists the old form with two F32
    if kind == T.BF16:
        return 64, 128
    return GGML_QUANT_SIZES[kind]


def decode(kind, block):
    if kind == T.Q8_1:
        return block[:2].view("<f2").astype(np.float32) * block[4:].view("<i1").astype(np.float32)
    if kind == T.Q8_K:
        return block[:4].view("<f4") * block[4:260].view("<i1").astype(np.float32)
    return quants.dequantize(block, kind).reshape(-1)


def record(kind, data, values):
    assert np.isfinite(values).all()
    sys.stdout.buffer.write(struct.pack("<III", kind, len(values), len(data)) + data + values.astype("<f4").tobytes())


with np.errstate(all="ignore"):
    for kind, code in PLAIN.items():
        raw = (rng.standard_normal(64) * 100).astype(code)
        record(kind, raw.tobytes(), raw.astype(np.float32))
    for kind in QUANTIZED:
        data, values = b"", []
        while len(values) < 3:
            block = rng.integers(0, 256, layout(kind)[1], dtype=np.uint8)
            floats = decode(kind, block)
            if np.isfinite(floats).all():
                data += block.tobytes()
                values.append(floats)
        record(kind, data, np.concatenate(values))
