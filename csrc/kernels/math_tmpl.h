/* math_tmpl.h - the functions of NNC_FUNCTION_LIST on vectors, the same bits on every ISA with FMA.
 *
 * All take every number: NaN gives NaN, infinities and zeros their limits; odd functions are odd
 * to the last bit. The error is at most 1 ulp for exp and 2 ulps for the others, subnormal results
 * included, with and without FMA: tests/c/exhaustive_math.c, tests/oracle_math.py.
 *
 * The polynomials are fits at Chebyshev nodes, computed with 40 digits or more; beside each is the
 * error that it alone makes in the result, relatively, with its coefficients as they stand here.
 *
 * Where one rounding more would be too many, a number is a sum of two vectors, the second of them
 * what the first one's rounding lost. */
#if NNC_REAL_IS_DOUBLE
#define EXP_LOW -746.0
#define EXP_HIGH 710.0
#define EXP_ZERO -745.13321910194122 /* up to it e^x rounds to 0, */
#define SIGMOID_LOW -744.4           /* and from here on to LEAST */
#define SILU_LOW -752.0              /* below it x e^x rounds to 0 */
#define SIGMOID_HIGH 40.0
#define EXPM1_LOW -40.0
#define TANH_HIGH 20.0
#define ERF_HIGH 6.0
#define GELU_HIGH 39.0
#define LOG2_E 1.4426950408889634
#define LN2_HIGH 0x1.62e42feep-1 /* its product with an exponent is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define MANTISSA 52
#define BIAS 1023
#define SPLITTER 0x1.0000002p27 /* 2^27 + 1: halves a mantissa */
#define SQRT_HALF 0.70710678118654752
#define SQRT_2 1.4142135623730951
#define NORMAL_MIN 0x1p-1022
#define LEAST 0x1p-1074
#else
#define EXP_LOW -104.0f
#define EXP_HIGH 89.0f
#define EXP_ZERO -103.972084f
#define SIGMOID_LOW -103.2f
#define SILU_LOW -109.0f
#define SIGMOID_HIGH 20.0f
#define EXPM1_LOW -20.0f
#define TANH_HIGH 10.0f
#define ERF_HIGH 4.0f
#define GELU_HIGH 14.5f
#define LOG2_E 1.44269504f
#define LN2_HIGH 0x1.62e4p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define MANTISSA 23
#define BIAS 127
#define SPLITTER 0x1.001p12f
#define SQRT_HALF 0.707106781f
#define SQRT_2 1.41421356f
#define NORMAL_MIN 0x1p-126f
#define LEAST 0x1p-149f
#endif
#define UNIT ((real)((NNC_FN(uint))1 << MANTISSA)) /* where neighbours differ by 1 */
#define ROUNDER (UNIT + UNIT / 2)                  /* adding it leaves an integer in the low bits */

#define V_INFINITY v_set1((real)__builtin_inf())
#define V_NAN v_set1((real)__builtin_nan(""))
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ------------------------------------------------------------------------------ parts */

/* c[0] + c[1] x + … by Estrin's scheme: in pairs of neighbours, as a chain of n steps would keep
 * the next operation waiting. */
static NNC_ALWAYS_INLINE vreal v_polynomial(vreal x, const real *c, int n)
{
    vreal sum[12];
    for (int i = 0; i < n / 2; i++) sum[i] = v_fma(x, v_set1(c[2 * i + 1]), v_set1(c[2 * i]));
    if (n % 2) sum[n / 2] = v_set1(c[n - 1]);
    for (n = (n + 1) / 2; n > 1; n = (n + 1) / 2) {
        x *= x;
        for (int i = 0; i < n / 2; i++) sum[i] = v_fma(x, sum[2 * i + 1], sum[2 * i]);
        if (n % 2) sum[n / 2] = sum[n - 1];
    }
    return sum[0];
}

/* 2^k for k from -BIAS (which gives 0) to BIAS. Unsigned, as NaN brings any k. */
static NNC_ALWAYS_INLINE vreal v_power_of_two(vuint k)
{
    return (vreal)((k + BIAS) << MANTISSA);
}

/* |y| with the sign of x. */
static NNC_ALWAYS_INLINE vreal v_sign_of(vreal x, vreal y)
{
    return (vreal)((vuint)v_abs(y) | ((vuint)x ^ (vuint)v_abs(x)));
}

/* What a * b loses by rounding; without FMA by Dekker's products of halves. */
static NNC_ALWAYS_INLINE vreal v_product_error(vreal a, vreal b, vreal product)
{
#if NNC_FMA
    return v_fma(a, b, -product);
#else
    vreal a_split = a * SPLITTER, a_high = a_split - (a_split - a), a_low = a - a_high;
    vreal b_split = b * SPLITTER, b_high = b_split - (b_split - b), b_low = b - b_high;
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low);
#endif
}

/* What a + b loses by rounding, in any order of magnitude. */
static NNC_ALWAYS_INLINE vreal v_sum_error(vreal a, vreal b, vreal sum)
{
    vreal b_seen = sum - a, a_seen = sum - b_seen;
    return (a - a_seen) + (b - b_seen);
}

/* ------------------------------------------------------------- exponential functions */

/* sign * x + tail = k ln 2 + r + low, with |r| <= ln(2) / 2 and low below the last digit of r. The
 * sign is a constant. */
static NNC_ALWAYS_INLINE vreal v_reduce(real sign, vreal x, vreal tail, vuint *k, vreal *low)
{
    vreal shifted = v_fma(x, v_set1(sign * LOG2_E), v_set1(ROUNDER));
    vreal whole = shifted - v_set1(ROUNDER);
    *k = (vuint)shifted - (vuint)v_set1(ROUNDER);
    vreal coarse = v_fma(whole, v_set1(-LN2_HIGH), sign * x);
    vreal fine = v_fma(whole, v_set1(-LN2_LOW), tail);
    vreal r = coarse + fine;
    *low = fine - (r - coarse);
    return r;
}

/* start + (e^r - 1 - r), for |r| <= ln(2) / 2. */
static NNC_ALWAYS_INLINE vreal v_exp_rest(vreal r, vreal start)
{
#if NNC_REAL_IS_DOUBLE /* 7.8e-20 */
    static const real near[] = {0.5, 0.16666666666666685, 0.041666666666666526,
                                0.008333333333315969};
    static const real far[] = {0.0013888888888968045, 0.00019841269898619946,
                               2.480158715523111e-05, 2.7557232903053564e-06,
                               2.755741759405539e-07, 2.5112649754135428e-08,
                               2.0871148855878806e-09};
    vreal r2 = r * r, r_far = r2 * r2 * r2;
#else /* 1.3e-10 */
    static const real near[] = {0.5f, 0.16666664f};
    static const real far[] = {0.041666456f, 0.008333889f, 0.0013935772f, 0.0001957596f};
    vreal r2 = r * r, r_far = r2 * r2;
#endif
    vreal sum = v_fma(r2, v_polynomial(r, near, COUNT(near)), start);
    return v_fma(r_far, v_polynomial(r, far, COUNT(far)), sum);
}

/* 2^k = a b, as it may leave the range of normal numbers. */
static NNC_ALWAYS_INLINE void v_halve_power(vuint k, vreal *a, vreal *b)
{
    /* rounded down, by an unsigned shift: AVX2 has no signed one for 64 bits */
    vuint half = ((k + 2 * BIAS) >> 1) - BIAS;
    *a = v_power_of_two(half);
    *b = v_power_of_two(k - half);
}

/* e^x = (1 + (e^r - 1)) 2^k. */
static NNC_ALWAYS_INLINE vreal v_exp(vreal x)
{
    vuint k;
    vreal low, r = v_reduce(1, x, v_set1(0), &k, &low), scale, rescale;
    v_halve_power(k, &scale, &rescale);
    vreal y = v_fma(scale, r + v_exp_rest(r, low), scale) * rescale;
    y = v_select(x > v_set1(EXP_HIGH), V_INFINITY, y);
    return v_keep(~(x < v_set1(EXP_LOW)), y);
}

/* e^x - 1 = 2^k (e^r - 1) + (2^k - 1). */
static NNC_ALWAYS_INLINE vreal v_expm1(vreal x)
{
    vuint k;
    vreal low, r = v_reduce(1, x, v_set1(0), &k, &low);
    vreal minus_one = r + v_exp_rest(r, low);
    vint beyond = x > v_set1(BIAS * LN2_HIGH); /* where k may be BIAS + 1 */
    vreal scale = v_power_of_two(k + (vuint)beyond);
    vreal y = v_fma(scale, minus_one, scale - 1);
    y *= v_select(beyond, v_set1(2), v_set1(1));
    y = v_select(x > v_set1(EXP_HIGH), V_INFINITY, y);
    y = v_select(x < v_set1(EXPM1_LOW), v_set1(-1), y);
    return v_sign_of(x, y);
}

/* 1 / (1 + e^-x) = u / d, where e^-x = e^r / u, u = 2^-k = u1 u2 and d = 1 + u + (e^r - 1). Few
 * steps lead from x to d; u is known early. Where `outside`, r = 0 and u is `limit`. Returns d,
 * with one rounding less where `better`. */
static NNC_ALWAYS_INLINE vreal v_logistic(vreal x, vint outside, vreal limit, bool better, vreal *u,
                                          vreal *u1, vreal *u2)
{
    vuint k;
    vreal low, r = v_keep(~outside, v_reduce(-1, x, v_set1(0), &k, &low));
    v_halve_power(-k, u1, u2);
    *u = v_select(outside, limit, *u1 * *u2);
    vreal sum = *u + 1, lost = *u - (sum - 1);
    if (better) return sum + (r + v_exp_rest(r, low + lost));
    return sum + v_exp_rest(r, r + lost);
}

static NNC_ALWAYS_INLINE vreal v_sigmoid(vreal x)
{
    vint large = x > v_set1(SIGMOID_HIGH), small = x < v_set1(SIGMOID_LOW);
    vreal limit = v_keep(x > v_set1(EXP_ZERO), v_set1(LEAST));
    limit = v_select(large, v_set1(4 * UNIT), limit);
    vreal u, u1, u2, d = v_logistic(x, large | small, limit, false, &u, &u1, &u2);
    return u / d;
}

/* x / (1 + e^-x); x u may leave the range of normal numbers where u doesn't. */
static NNC_ALWAYS_INLINE vreal v_silu(vreal x)
{
    vint large = x > v_set1(SIGMOID_HIGH), small = x < v_set1(SILU_LOW);
    vreal u, u1, u2, d = v_logistic(x, large | small, v_set1(1), true, &u, &u1, &u2);
    vreal y = v_select(large, x, x * u1 * u2 / d);
    return v_select(small, v_set1(-0.0), y);
}

/* With y = e^(-2 |x|) - 1: tanh |x| = q = -y / (2 + y), and 1 / (2 + y) = (1 + q) / 2 gives what
 * q lacks where y and 2 + y were rounded. */
static NNC_ALWAYS_INLINE vreal v_tanh(vreal x)
{
    vuint k;
    vreal a = v_select(v_abs(x) > v_set1(TANH_HIGH), v_set1(TANH_HIGH), v_abs(x));
    vreal low, r = v_reduce(1, -2 * a, v_set1(0), &k, &low);
    vreal rest = v_exp_rest(r, low), minus_one = r + rest, scale = v_power_of_two(k);
    vreal large = scale - 1, large_low = scale - (large + 1);
    vreal small = scale * minus_one, small_low = scale * (rest - (minus_one - r));
    vreal y = large + small, y_low = (small - (y - large)) + (large_low + small_low);
    vreal divisor = y + 2, divisor_low = y - (divisor - 2) + y_low;
    vreal q = -y / divisor;
    return v_sign_of(
        x, q - v_fma(q, divisor_low, y_low) * v_fma(q, v_set1((real)0.5), v_set1((real)0.5)));
}

/* ---------------------------------------------------------------------- logarithms */

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
    vreal rest = f - z * v_polynomial(z, c, COUNT(c));
    vreal low = v_fma(k, v_set1(LN2_LOW), correction);
    return v_fma(k, v_set1(LN2_HIGH), f - (s * rest - low));
}

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)), for normal x > 0; k as a number. */
static NNC_ALWAYS_INLINE vreal v_split(vreal x, vreal *m)
{
    const vuint one = (vuint)v_set1(1), root = (vuint)v_set1(SQRT_HALF);
    vuint biased = ((vuint)x - root + one) >> MANTISSA;
    *m = (vreal)((vuint)x - (biased << MANTISSA) + one);
    return (vreal)(biased | (vuint)v_set1(UNIT)) - v_set1(UNIT + BIAS);
}

/* y, but the limit where x is 0 or infinite, and NaN where it is negative. */
static NNC_ALWAYS_INLINE vreal v_log_limits(vreal x, vreal y)
{
    y = v_select(x == 0, -V_INFINITY, y);
    y = v_select(x == V_INFINITY, V_INFINITY, y);
    return v_select(x >= 0, y, x + V_NAN);
}

static NNC_ALWAYS_INLINE vreal v_log(vreal x)
{
    vint tiny = x < v_set1(NORMAL_MIN);
    vreal m, normal = v_select(tiny, x * (4 * UNIT), x);
    vreal k = v_split(normal, &m) - v_keep(tiny, v_set1(MANTISSA + 2));
    return v_log_limits(x, v_log_sum(m, k, v_set1(0)));
}

/* log(1 + x): u = 1 + x is off by c, and log(u + c) = log(u) + c / u. */
static NNC_ALWAYS_INLINE vreal v_log1p(vreal x)
{
    vreal m, u = x + 1, c = v_sum_error(x, v_set1(1), u);
    vreal k = v_split(u, &m), y = v_log_limits(u, v_log_sum(m, k, c / u));
    return v_select(x == 0, x, y);
}

/* The same for x in [0, 1]. */
static NNC_ALWAYS_INLINE vreal v_log1p_unit(vreal x)
{
    vreal u = x + 1, c = x - (u - 1);
    vint large = u > v_set1(2 * SQRT_HALF);
    vreal m = v_select(large, u * v_set1((real)0.5), u);
    vreal k = v_keep(large, v_set1(1));
    return v_log_sum(m, k, c / u);
}

/* log(1 + e^-|x|): softplus(x) without its max(x, 0) */
static NNC_ALWAYS_INLINE vreal v_softplus_tail(vreal x)
{
    return v_log1p_unit(v_exp(-v_abs(x)));
}

/* log(1 + e^x) */
static NNC_ALWAYS_INLINE vreal v_softplus(vreal x)
{
    return v_keep(x > 0, x) + v_softplus_tail(x);
}

/* ------------------------------------------------------------------ the normal distribution */

#if NNC_REAL_IS_DOUBLE /* 1.3e-17 */
#define MILLS_0 0.4956558668353369
#else /* 5.7e-9 */
#define MILLS_0 0.49565586f
#endif

/* MILLS_0 + this is (x + 5/4) e^(x^2 / 2) P, where P is the probability that a standard normal
 * number exceeds x >= 0: a function between 0.41 and 0.63, nearly even in (x - 4) / (x + 4). */
static NNC_ALWAYS_INLINE vreal v_mills(vreal x)
{
#if NNC_REAL_IS_DOUBLE
    static const real c[] = {
        -0.13930290771363965,    0.04509444855924158,     0.010673512219115645,
        -0.024481636401513292,   0.015813073609169764,    -0.004875488072216696,
        -0.00012591963536410548, 0.000648101036900929,    -0.00010581897500880329,
        -8.069109745005695e-05,  2.240792684436676e-05,   1.2550986204616676e-05,
        -3.639510023278866e-06,  -2.447562507552642e-06,  4.55881517351882e-07,
        5.285362014546665e-07,   -1.1559039962233495e-08, -1.0876719164418887e-07,
        -1.7129235825174825e-08, 1.7760616230448617e-08,  5.8646643172132435e-09,
        -1.6120846708834752e-09, -7.774620155754758e-10};
#else
    static const real c[] = {-0.1393029f,    0.045094512f,  0.010673176f,    -0.02448209f,
                             0.015815888f,   -0.004874188f, -0.00013709195f, 0.00064542016f,
                             -8.248142e-05f, -7.29245e-05f};
#endif
    vreal q = (x - 4) / (x + 4);
    return q * v_polynomial(q, c, COUNT(c));
}

/* erf(x): below 1, x + x P(x^2); above, 1 - 2 P for sqrt(2) x. */
static NNC_ALWAYS_INLINE vreal v_erf(vreal x)
{
#if NNC_REAL_IS_DOUBLE /* 1.4e-17 */
    static const real c[] = {
        0.12837916709551256,     -0.37612638903183454,    0.11283791670942442,
        -0.02686617064289931,    0.005223977604689966,    -0.0008548325870704008,
        0.00012055292035176142,  -1.4924685750117011e-05, 1.644683368469675e-06,
        -1.6204216650845038e-07, 1.370256915942638e-08,   -7.764805951360939e-10};
#else /* 1.5e-9 */
    static const real c[] = {0.12837917f,   -0.37612626f,    0.112835824f, -0.026853643f,
                             0.0051879627f, -0.00080067967f, 7.842308e-05f};
#endif
    vreal a = v_select(v_abs(x) > v_set1(ERF_HIGH), v_set1(ERF_HIGH), v_abs(x)), square = a * a;
    vreal small = v_fma(a, v_polynomial(square, c, COUNT(c)), a);

    vuint k;
    vreal low, r = v_reduce(-1, square, -v_product_error(a, a, square), &k, &low);
    vreal e = v_power_of_two(k + 1) * (r + v_exp_rest(r, low) + 1);
    vreal normal = a * v_set1(SQRT_2);
    vreal large = 1 - e * (v_mills(normal) + MILLS_0) / (normal + (real)1.25);
    return v_sign_of(x, v_select(a < 1, small, large));
}

/* x P(x), P the standard normal distribution: for x < 0 the tail, else 1 - the tail, which is
 * e f / d with its rounding errors beside each of the three. */
static NNC_ALWAYS_INLINE vreal v_gelu(vreal x)
{
    vreal a = v_select(v_abs(x) > v_set1(GELU_HIGH), v_set1(GELU_HIGH), v_abs(x));
    vreal square = a * a, square_low = v_product_error(a, a, square);
    vuint k;
    vreal low, r = v_reduce(1, square * (real)-0.5, square_low * (real)-0.5, &k, &low);
    vreal rest = v_exp_rest(r, low), minus_one = r + rest;
    vreal e = minus_one + 1, e_low = (minus_one - (e - 1)) + (rest - (minus_one - r));

    vreal mills = v_mills(a), f = mills + MILLS_0, f_low = mills - (f - MILLS_0);
    vreal d = a + (real)1.25, d_low = v_sum_error(a, v_set1((real)1.25), d), inverse = 1 / d;

    vreal n = e * f, n_low = v_product_error(e, f, n) + v_fma(e, f_low, e_low * f);
    vreal q = n * inverse, back = q * d;
    vreal missing = ((n - back) - v_product_error(q, d, back)) + v_fma(-q, d_low, n_low);
    vreal q_low = missing * inverse;

    /* a 2^k below the normal numbers meets the result last */
    vreal scale1, scale2;
    v_halve_power(k, &scale1, &scale2);
    vreal scale = scale1 * scale2, tail = scale * q;
    vreal p = 1 - tail, p_low = ((1 - p) - tail) - scale * q_low;

    vint left = x < 0;
    p = v_select(left, q, p);
    p_low = v_select(left, q_low, p_low);
    vreal y = v_fma(x, p, x * p_low);
    y = v_select(left, y * scale1 * scale2, y);
    y = v_select(x > v_set1(GELU_HIGH), x, y);
    return v_sign_of(x, v_keep(~(x < v_set1(-GELU_HIGH)), y));
}

/* Its derivative P(x) + x e^(-x^2 / 2) / sqrt(2 pi), to some units in the last place of its
 * larger term. */
static NNC_ALWAYS_INLINE vreal v_gelu_slope(vreal x)
{
    vreal a = v_select(v_abs(x) > v_set1(GELU_HIGH), v_set1(GELU_HIGH), v_abs(x));
    vreal e = v_exp(a * a * (real)-0.5);
    vreal tail = e * (v_mills(a) + MILLS_0) / (a + (real)1.25);
    vreal p = v_select(x < 0, tail, 1 - tail);
    return v_fma(v_sign_of(x, a), e * v_set1((real)0.39894228040143267794), p);
}

#undef EXP_LOW
#undef EXP_HIGH
#undef EXP_ZERO
#undef SIGMOID_LOW
#undef SILU_LOW
#undef SIGMOID_HIGH
#undef EXPM1_LOW
#undef TANH_HIGH
#undef ERF_HIGH
#undef GELU_HIGH
#undef LOG2_E
#undef LN2_HIGH
#undef LN2_LOW
#undef MANTISSA
#undef BIAS
#undef SPLITTER
#undef SQRT_HALF
#undef SQRT_2
#undef NORMAL_MIN
#undef LEAST
#undef UNIT
#undef ROUNDER
#undef V_INFINITY
#undef V_NAN
#undef COUNT
#undef MILLS_0
