/* dispatch.c - chooses the kernels for this CPU. The only file that names the ISA tables, and the
 * owner of a global variable, the choice. */
#include <stdatomic.h>
#include <string.h>

#include "core/base.h"
#include "kernels/kernels.h"

#ifdef __AVX__
#error "the core must be compiled for the baseline CPU: its kernels state their ISA themselves"
#endif

typedef struct {
    const char *name;
    const nnc_kernels *tables[NNC_DTYPE_COUNT];
    bool (*runs_here)(void);
    bool fma;
    size_t vector_bytes;
} isa;

static bool always(void)
{
    return true;
}

#if NNC_X86_64
static bool has_fma(void)
{
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
}

static bool has_avx2(void)
{
    return has_fma() && __builtin_cpu_supports("avx2");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

#define TABLES(name) {[NNC_F32] = &nnc_kernels_f32_##name, [NNC_F64] = &nnc_kernels_f64_##name}
/* slowest first, as NNC_ISA_LIST */
static const isa isas[] = {
    {"baseline", TABLES(baseline), always, false, 16},
#if NNC_X86_64
    {"generic", TABLES(generic), has_fma, true, 16},
    {"avx2", TABLES(avx2), has_avx2, true, 32},
    {"avx512", TABLES(avx512), has_avx512, true, 64},
#endif
};
enum { ISA_COUNT = sizeof isas / sizeof *isas };

static _Atomic(const isa *) chosen;

/* The fastest of the ISAs below index `end` that runs here. */
static const isa *fastest_below(size_t end)
{
    while (!isas[end - 1].runs_here()) end--;
    return &isas[end - 1];
}

static const isa *current(void)
{
    const isa *choice = atomic_load_explicit(&chosen, memory_order_acquire);
    return choice ? choice : fastest_below(ISA_COUNT);
}

bool nnc_select_isa(const char *name)
{
    const isa *choice = NULL;
    if (!name || !*name) choice = fastest_below(ISA_COUNT);
    for (size_t i = 0; !choice && i < ISA_COUNT; i++)
        if (strcmp(name, isas[i].name) == 0 && isas[i].runs_here()) choice = &isas[i];
    if (!choice && strcmp(name, "generic") == 0) choice = &isas[0];
    if (!choice) return false;
    atomic_store_explicit(&chosen, choice, memory_order_release);
    return true;
}

nnc_cpu nnc_cpu_info(void)
{
    const isa *choice = current();
    nnc_cpu cpu = {choice->name, {NULL}, choice->fma, choice->vector_bytes};
    size_t n = 0;
    for (size_t i = 0; i < ISA_COUNT; i++)
        if (isas[i].runs_here()) cpu.available[n++] = isas[i].name;
    return cpu;
}

const nnc_kernels *nnc_kernels_for(nnc_dtype dtype)
{
    return current()->tables[dtype];
}
