/* math_tmpl.h - exp, log and log(1 + x) on vectors, the same bits on every ISA with FMA.
 *
 * The coefficients are minimax fits (Chebyshev nodes, computed with 40 digits); beside each is
 * the error of its polynomial alone. NaN passes through each function. */
#if NNC_REAL_IS_DOUBLE
#define EXP_LOW -746.0
#define EXP_HIGH 710.0
#define LOG2_E 1.4426950408889634
#define LN2_HIGH 0x1.62e42feep-1 /* its product with an exponent is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define ROUNDER 0x1.8p52 /* adding it rounds to an integer, and leaves that in the low bits */
#define MANTISSA 52
#define BIAS 1023
#define SQRT_HALF 0.70710678118654752
#define NORMAL_MIN 0x1p-1022
#else
#define EXP_LOW -104.0f
#define EXP_HIGH 89.0f
#define LOG2_E 1.44269504f
#define LN2_HIGH 0x1.63p-1f
#define LN2_LOW -0x1.bd0106p-13f
#define ROUNDER 0x1.8p23f
#define MANTISSA 23
#define BIAS 127
#define SQRT_HALF 0.707106781f
#define NORMAL_MIN 0x1p-126f
#endif

/* c[0] + c[1] x + …, by Horner's rule. */
static NNC_ALWAYS_INLINE vreal v_polynomial(vreal x, const real *c, int n)
{
    vreal sum = v_set1(c[n - 1]);
    for (int i = n - 2; i >= 0; i--) sum = v_fma(sum, x, v_set1(c[i]));
    return sum;
}

/* 2^k for k from -BIAS + 1 to BIAS. Unsigned, as NaN brings any k. */
static NNC_ALWAYS_INLINE vreal v_power_of_two(vuint k)
{
    return (vreal)((k + BIAS) << MANTISSA);
}

/* x = k ln 2 + r with |r| <= ln(2) / 2; e^r = 1 + r + r^2 P(r); times 2^k in two steps, so that
 * the last product overflows and underflows as it should. */
static NNC_ALWAYS_INLINE vreal v_exp(vreal x)
{
#if NNC_REAL_IS_DOUBLE /* 1.7e-19 */
    static const real c[] = {0.5,
                             0.1666666666666667,
                             0.04166666666666667,
                             0.008333333333326112,
                             0.001388888888888373,
                             0.0001984126987490126,
                             2.4801587325605324e-05,
                             2.7557255297969643e-06,
                             2.755727357010214e-07,
                             2.5105259538448494e-08,
                             2.0914717341716378e-09};
#else /* 1.7e-10 */
    static const real c[] = {0.5f,          0.16666667f,   0.041666465f,
                             0.0083333109f, 0.0013933686f, 0.00019891031f};
#endif
    const vreal low = v_set1(EXP_LOW), high = v_set1(EXP_HIGH);
    const vreal rounder = v_set1(ROUNDER);
    x = v_select(x < low, low, x);
    x = v_select(x > high, high, x);

    vreal shifted = v_fma(x, v_set1(LOG2_E), rounder);
    vuint k = (vuint)shifted - (vuint)rounder;
    vreal whole = shifted - rounder;
    vreal r = v_fma(whole, v_set1(-LN2_HIGH), x);
    r = v_fma(whole, v_set1(-LN2_LOW), r);

    vreal p = v_polynomial(r, c, sizeof c / sizeof *c);
    vreal e = v_fma(r * r, p, r) + 1;
    /* k / 2 rounded down, by an unsigned shift: AVX2 has no signed one for 64 bits */
    vuint half = ((k + 2 * BIAS) >> 1) - BIAS;
    return e * v_power_of_two(half) * v_power_of_two(k - half);
}

/* log(m) + k ln 2 + correction for m in [sqrt(1/2), sqrt(2)): with f = m - 1, s = f / (2 + f),
 * log(1 + f) = 2 s + s^3 Q(s^2) = f - s (f - s^2 Q(s^2)). */
static NNC_ALWAYS_INLINE vreal v_log_sum(vreal m, vreal k, vreal correction)
{
#if NNC_REAL_IS_DOUBLE /* 4.6e-18 */
    static const real c[] = {0.666666666666667,   0.3999999999989889, 0.28571428626253836,
                             0.22222211089379496, 0.1818289243253687, 0.15331611722055008,
                             0.14617807153417325};
#else /* 1.7e-11 */
    static const real c[] = {0.66666667f, 0.40000122f, 0.28550779f, 0.23331614f};
#endif
    vreal f = m - 1, s = f / (f + 2), z = s * s;
    vreal rest = f - z * v_polynomial(z, c, sizeof c / sizeof *c);
    vreal low = v_fma(k, v_set1(LN2_LOW), correction);
    return v_fma(k, v_set1(LN2_HIGH), f - (s * rest - low));
}

/* log(x), x zero or normal: -inf at 0, NaN below it. */
static NNC_ALWAYS_INLINE vreal v_log(vreal x)
{
    const vreal root = v_set1(SQRT_HALF), infinity = v_set1(__builtin_inf());
    const vint one = (vint)v_set1(1);
    /* x = 2^k m, with the borders of m moved from [1, 2) to [sqrt(1/2), sqrt(2)) */
    vint k = (vint)((vuint)x - (vuint)root) >> MANTISSA;
    vreal m = (vreal)((vuint)x - ((vuint)k << MANTISSA));
    vreal exponent = __builtin_convertvector(k, vreal);
    vreal y = v_log_sum(m, exponent, (vreal)(one & 0));
    y = v_select(x == 0, -infinity, y);
    y = v_select(x == infinity, infinity, y);
    return v_select(x >= 0, y, x - x + v_set1(__builtin_nan("")));
}

/* log(1 + x) for x in [0, 1]: u = 1 + x is off by c, and log(u + c) = log(u) + c / u. */
static NNC_ALWAYS_INLINE vreal v_log1p(vreal x)
{
    vreal u = x + 1, c = x - (u - 1);
    vint large = u > v_set1(2 * SQRT_HALF);
    vreal m = v_select(large, u * v_set1(0.5), u);
    vreal k = v_keep(large, v_set1(1));
    return v_log_sum(m, k, c / u);
}

/* 1 / (1 + e^-x), from e^-|x| so that nothing overflows and both tails keep their digits. */
static NNC_ALWAYS_INLINE vreal v_sigmoid(vreal x)
{
    vreal e = v_exp(-v_abs(x));
    return v_select(x < 0, e, v_set1(1)) / (e + 1);
}

/* log(1 + e^-|x|): softplus(x) without its max(x, 0) */
static NNC_ALWAYS_INLINE vreal v_softplus_tail(vreal x)
{
    return v_log1p(v_exp(-v_abs(x)));
}

#undef EXP_LOW
#undef EXP_HIGH
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef ROUNDER
#undef MANTISSA
#undef BIAS
#undef SQRT_HALF
#undef NORMAL_MIN
