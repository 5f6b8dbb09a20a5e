#!/usr/bin/env python3
"""Writes src/quant/iq_tables.c from the codebooks of the `gguf` package (pip install gguf).

Each codebook row (8 or 4 values) becomes one 16-bit number: the position of each value in the format's list of
levels, lowest bits first.  Usage: iq_tables.py > src/quant/iq_tables.c
"""
from gguf import quants

TABLES = [
    ("1", quants.IQ1_S, 2), ("2xxs", quants.IQ2_XXS, 2), ("2xs", quants.IQ2_XS, 2), ("2s", quants.IQ2_S, 2),
    ("3xxs", quants.IQ3_XXS, 3), ("3s", quants.IQ3_S, 3),
]

print("// The codebooks of the IQ formats; see iq_tables.h. Written by tools/oracle/iq_tables.py.")
print('#include "quant/iq_tables.h"\n\n// clang-format off')
for name, kind, bits in TABLES:
    kind.init_grid()
    rows = kind.grid.reshape(kind.grid_shape)
    level = {float(v): i for i, v in enumerate(kind.grid_map)}
    words = [sum(level[float(v)] << (bits * i) for i, v in enumerate(row)) for row in rows]
    print(f"\nconst uint16_t quant_iq_tables_{name}[{len(words)}] = {{")
    for at in range(0, len(words), 13):
        print("    " + ", ".join(f"0x{w:04x}" for w in words[at:at + 13]) + ",")
    print("};")
