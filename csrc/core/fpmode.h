/* fpmode.h - the floating-point mode that all results are defined in: round to nearest, keep
 * subnormals, trap nothing. A verb saves the caller's mode, sets this one, and restores the
 * caller's before it returns or calls back. Threads started in it inherit it. */
#ifndef NNC_CORE_FPMODE_H
#define NNC_CORE_FPMODE_H

#include <stdint.h>

#if defined(__x86_64__)

typedef unsigned nnc_fpmode;

static inline void nnc_fpmode_set(nnc_fpmode mode)
{
    __builtin_ia32_ldmxcsr(mode);
}

static inline nnc_fpmode nnc_fpmode_enter(void)
{
    const nnc_fpmode standard = 0x1f80, caller = __builtin_ia32_stmxcsr();
    const nnc_fpmode flags = 0x3f; /* what happened so far, not a mode */
    if ((caller & ~flags) != standard) nnc_fpmode_set(standard);
    return caller;
}

static inline void nnc_fpmode_leave(nnc_fpmode caller)
{
    if ((__builtin_ia32_stmxcsr() ^ caller) & ~0x3fu) nnc_fpmode_set(caller);
}

#elif defined(__aarch64__)

typedef uint64_t nnc_fpmode;

static inline nnc_fpmode nnc_fpmode_now(void)
{
    nnc_fpmode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode)::"memory");
    return mode;
}

static inline void nnc_fpmode_set(nnc_fpmode mode)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(mode) : "memory");
}

static inline nnc_fpmode nnc_fpmode_enter(void)
{
    const nnc_fpmode caller = nnc_fpmode_now(); /* flags are in another register */
    if (caller != 0) nnc_fpmode_set(0);
    return caller;
}

static inline void nnc_fpmode_leave(nnc_fpmode caller)
{
    if (nnc_fpmode_now() != caller) nnc_fpmode_set(caller);
}

#else
#include <fenv.h>

typedef fenv_t nnc_fpmode;

static inline nnc_fpmode nnc_fpmode_enter(void)
{
    nnc_fpmode caller;
    feholdexcept(&caller);
    fesetenv(FE_DFL_ENV);
    return caller;
}

static inline void nnc_fpmode_leave(nnc_fpmode caller)
{
    fesetenv(&caller);
}
#endif

#endif
