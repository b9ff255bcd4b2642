/* exact.h - the functions of NNC_FUNCTION_LIST by the C library, in double (exact_exp, …) and in
 * long double (exact_expl, …), which stand for the exact values of float and of double. */
#ifndef NNC_TEST_EXACT_H
#define NNC_TEST_EXACT_H

#include <math.h>

#include "nnc.h"

/* sqrt(1/2) in two parts, as erfc magnifies the error of its argument. */
#define ROOT_HIGH 0x1.6a09e667f3bcc908p-1L
#define ROOT_LOW 0x0.b2fb1366ea957d3ep-65L
#define TWO_BY_ROOT_PI 1.12837916709551257390L

/* s: the suffix of the C library's names */
#define NNC_DEFINE_EXACT(type, s)                                                       \
    static inline type exact_exp##s(type x)                                             \
    {                                                                                   \
        return exp##s(x);                                                               \
    }                                                                                   \
    static inline type exact_expm1##s(type x)                                           \
    {                                                                                   \
        return expm1##s(x);                                                             \
    }                                                                                   \
    static inline type exact_log##s(type x)                                             \
    {                                                                                   \
        return log##s(x);                                                               \
    }                                                                                   \
    static inline type exact_log1p##s(type x)                                           \
    {                                                                                   \
        return log1p##s(x);                                                             \
    }                                                                                   \
    static inline type exact_sigmoid##s(type x)                                         \
    {                                                                                   \
        return x < 0 ? exp##s(x) / (1 + exp##s(x)) : 1 / (1 + exp##s(-x));              \
    }                                                                                   \
    static inline type exact_tanh##s(type x)                                            \
    {                                                                                   \
        return tanh##s(x);                                                              \
    }                                                                                   \
    static inline type exact_softplus##s(type x)                                        \
    {                                                                                   \
        return x > 0 ? x + log1p##s(exp##s(-x)) : log1p##s(exp##s(x));                  \
    }                                                                                   \
    static inline type exact_erf##s(type x)                                             \
    {                                                                                   \
        return erf##s(x);                                                               \
    }                                                                                   \
    static inline type exact_gelu##s(type x)                                            \
    {                                                                                   \
        const type high = (type)ROOT_HIGH, low = (type)((ROOT_HIGH - high) + ROOT_LOW); \
        if (isinf(x)) return x > 0 ? x : (type) - 0.0;                                  \
        type a = x * high, rest = fma##s(x, high, -a) + x * low;                        \
        return x * ((erfc##s(-a) + rest * (type)TWO_BY_ROOT_PI * exp##s(-a * a)) / 2);  \
    }                                                                                   \
    static inline type exact_silu##s(type x)                                            \
    {                                                                                   \
        return isinf(x) ? (x > 0 ? x : (type) - 0.0) : x * exact_sigmoid##s(x);         \
    }

NNC_DEFINE_EXACT(double, )
NNC_DEFINE_EXACT(long double, l)

/* What nnc.h promises, in units of the last place. */
static inline double most_ulps(nnc_function f)
{
    return f == NNC_FUNCTION_EXP ? 1 : 2;
}

static inline bool is_odd(nnc_function f)
{
    return f == NNC_FUNCTION_TANH || f == NNC_FUNCTION_ERF;
}

#endif
