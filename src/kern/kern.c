// The tables: one per instruction set, each a copy of the one it builds on with its own kernels written over.
// Built once, at the first question, for what this processor can run.
#include "kern/kern.h"

#include <pthread.h>
#include <string.h>

#include "base/base.h"
#include "kern/overlay.h"

static struct {
    kern_table t[KERN_ISA_COUNT];
    bool usable[KERN_ISA_COUNT];
} tables;

static const char *const names[KERN_ISA_COUNT] = {"scalar", "avx2", "avx512", "amx", "neon"};

// In the order of stacking; those the build has.
static const struct overlay {
    enum kern_isa isa, below;
    void (*write)(kern_table *t);
} overlays[] = {
    {KERN_SCALAR, KERN_SCALAR, kern_fill_scalar},
#if KERN_HAVE_AVX2
    {KERN_AVX2, KERN_SCALAR, kern_overlay_avx2},
#endif
#if KERN_HAVE_AVX512
    {KERN_AVX512, KERN_AVX2, kern_overlay_avx512},
#endif
#if KERN_HAVE_AMX
    {KERN_AMX, KERN_AVX512, kern_overlay_amx},
#endif
#if KERN_HAVE_NEON
    {KERN_NEON, KERN_SCALAR, kern_overlay_neon},
#endif
};

static void build(void)
{
    tables.usable[KERN_SCALAR] = true;
    for (size_t i = 0; i < COUNT_OF(overlays); i++) {
        const struct overlay *o = &overlays[i];
        if (!tables.usable[o->below] || !kern_cpu_has(o->isa))
            continue;
        tables.t[o->isa] = tables.t[o->below];
        tables.t[o->isa].isa = o->isa;
        o->write(&tables.t[o->isa]);
        tables.usable[o->isa] = true;
    }
}

static void build_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build);
}

const kern_table *kern_get_exactly(enum kern_isa isa)
{
    build_once();
    return isa < KERN_ISA_COUNT && tables.usable[isa] ? &tables.t[isa] : NULL;
}

const kern_table *kern_get(enum kern_isa most)
{
    build_once();
    for (int i = most < KERN_ISA_COUNT ? (int)most : KERN_ISA_COUNT - 1; i > KERN_SCALAR; i--)
        if (tables.usable[i])
            return &tables.t[i];
    return &tables.t[KERN_SCALAR];
}

const char *kern_isa_name(enum kern_isa isa)
{
    return isa < KERN_ISA_COUNT ? names[isa] : "?";
}

int kern_isa_from_name(const char *name)
{
    for (int i = 0; i < KERN_ISA_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

enum kern_family kern_family_of(int quant_type)
{
    switch (quant_type) {
    case QT_F32:
    case QT_F16:
    case QT_BF16: return KERN_FLOAT;
    case QT_Q4_0:
    case QT_Q4_1:
    case QT_Q5_0:
    case QT_Q5_1:
    case QT_Q8_0:
    case QT_IQ4_NL:
    case QT_MXFP4: return KERN_B32;
    case QT_Q2_K:
    case QT_Q3_K:
    case QT_Q4_K:
    case QT_Q5_K:
    case QT_Q6_K:
    case QT_IQ4_XS:
    case QT_IQ3_S:
    case QT_IQ3_XXS:
    case QT_IQ2_S:
    case QT_IQ2_XS:
    case QT_IQ2_XXS:
    case QT_IQ1_M:
    case QT_IQ1_S:
    case QT_TQ1_0:
    case QT_TQ2_0: return KERN_B256;
    default: return KERN_DECODE;
    }
}

enum kern_act_kind kern_act_of(enum kern_family family)
{
    return family == KERN_B32 ? KERN_ACT_Q8_32 : family == KERN_B256 ? KERN_ACT_Q8_256 : KERN_ACT_F32;
}
