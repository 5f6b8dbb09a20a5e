// What this processor can do, and what its operating system lets it: instructions come from CPUID, the right to
// use wide registers from XCR0, AMX tiles from a system call besides. On ARM the kernel says it all.
#include "kern/overlay.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct feature {
    const char *name;
    bool on;
} feature;

enum { MAX_FEATURES = 16 };

static struct {
    feature f[MAX_FEATURES];
    int n;
    char text[256];
} cpu;

static void note(const char *name, bool on)
{
    cpu.f[cpu.n++] = (feature){name, on};
    if (!on)
        return;
    size_t used = strlen(cpu.text);
    snprintf(cpu.text + used, sizeof cpu.text - used, "%s%s", used ? " " : "", name);
}

static bool has(const char *name)
{
    for (int i = 0; i < cpu.n; i++)
        if (strcmp(cpu.f[i].name, name) == 0)
            return cpu.f[i].on;
    return false;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static uint64_t xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool bit(uint32_t word, int i)
{
    return word >> i & 1;
}

static void detect(void)
{
    uint32_t a, b, c, d, a1 = 0, b1, c1, d1;
    uint32_t a7 = 0, b7 = 0, c7 = 0, d7 = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return;
    bool os_saves = bit(c, 27);
    uint64_t x = os_saves ? xcr0() : 0;
    bool ymm = (x & 0x6) == 0x6, zmm = ymm && (x & 0xe0) == 0xe0, tmm = (x & 0x60000) == 0x60000;
    if (__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7) && a7 >= 1)
        __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    note("f16c", ymm && bit(c, 29));
    note("fma", ymm && bit(c, 12));
    note("avx2", ymm && bit(b7, 5));
    note("avx-vnni", ymm && bit(a1, 4));
    note("avx512f", zmm && bit(b7, 16));
    note("avx512bw", zmm && bit(b7, 30));
    note("avx512dq", zmm && bit(b7, 17));
    note("avx512vl", zmm && bit(b7, 31));
    note("avx512vnni", zmm && bit(c7, 11));
    note("avx512bf16", zmm && bit(a1, 5));
    bool tiles = tmm && bit(d7, 24);
    // The permission is the process's: threads that exist and those to come all get it.
    if (tiles)
        tiles = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
    note("amx-tile", tiles);
    note("amx-int8", tiles && bit(d7, 25));
    note("amx-bf16", tiles && bit(d7, 22));
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

static void detect(void)
{
    unsigned long cap = getauxval(AT_HWCAP);
    note("neon", cap >> 1 & 1);      // HWCAP_ASIMD
    note("dotprod", cap >> 20 & 1);  // HWCAP_ASIMDDP
}
#else
static void detect(void)
{
}
#endif

static void detect_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect);
}

bool kern_cpu_has(enum kern_isa isa)
{
    detect_once();
    switch (isa) {
    case KERN_SCALAR: return true;
    case KERN_AVX2: return has("avx2") && has("fma") && has("f16c");
    case KERN_AVX512:
        return kern_cpu_has(KERN_AVX2) && has("avx512f") && has("avx512bw") && has("avx512dq") &&
               has("avx512vl") && has("avx512vnni") && has("avx512bf16");
    case KERN_AMX: return kern_cpu_has(KERN_AVX512) && has("amx-tile") && has("amx-int8") && has("amx-bf16");
    case KERN_NEON: return has("neon") && has("dotprod");
    default: return false;
    }
}

const char *kern_cpu_flags(void)
{
    detect_once();
    return cpu.text;
}
