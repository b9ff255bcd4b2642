/* activation_tmpl.h - the activation functions. For each name of NNC_ACTIVATION_LIST:
 *
 *   f_<name>(z)          a = f(z)
 *   back_<name>(da, x)   da * f'(z), with the derivative in terms of x = a = f(z), or of x = z for
 *                        those that are OF_Z
 *
 * NaN in f means NaN out, infinities give the limits, derivatives too. Where Keras 3 and PyTorch
 * agree, these are their functions; else it is said below. At a kink the derivative is that from
 * the left unless something else is said. */

static NNC_ALWAYS_INLINE vreal NNC_FN(f_identity)(vreal z)
{
    return z;
}

static NNC_ALWAYS_INLINE vreal NNC_FN(back_identity)(vreal da, vreal a)
{
    (void)a;
    return da;
}

/* max(0, z); by comparison, because maximum instructions swallow NaN */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_relu)(vreal z)
{
    return v_keep(~(z <= 0), z);
}

/* f' = 1 where a > 0; at z = 0 it is 0, as in the tutorial */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_relu)(vreal da, vreal a)
{
    return v_keep(~(a <= 0), da);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(f_sigmoid)(vreal z)
{
    return v_sigmoid(z);
}

/* f' = a (1 - a) */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_sigmoid)(vreal da, vreal a)
{
    return da * a * (1 - a);
}

/* z / 6 + 1/2 between 0 and 1: exact at both kinks */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_hard_sigmoid)(vreal z)
{
    vreal y = v_keep(~(z <= -3), z + 3);
    return v_select(z >= 3, v_set1(6), y) / 6;
}

/* f' = 1/6 where 0 < a < 1; at both kinks it is 0 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_hard_sigmoid)(vreal da, vreal a)
{
    return v_keep(~((a <= 0) | (a >= 1)), da / 6);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(f_tanh)(vreal z)
{
    return v_tanh(z);
}

/* f' = 1 - a^2 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_tanh)(vreal da, vreal a)
{
    return da * ((1 - a) * (1 + a));
}

/* z, or 0.01 z where z <= 0: PyTorch's slope; Keras has 0.2 */
#define LEAK v_set1((real)0.01)
static NNC_ALWAYS_INLINE vreal NNC_FN(f_leaky_relu)(vreal z)
{
    return v_select(z > 0, z, z * LEAK);
}

/* f' = 1 where a > 0, else 0.01 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_leaky_relu)(vreal da, vreal a)
{
    return v_select(a <= 0, da * LEAK, da);
}
#undef LEAK

/* z, or e^z - 1 where z <= 0 */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_elu)(vreal z)
{
    return v_select(z > 0, z, v_expm1(z));
}

/* f' = 1 where a > 0, else e^z = a + 1 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_elu)(vreal da, vreal a)
{
    return v_select(a > 0, da, da * (a + 1));
}

/* SCALE z, or SCALE alpha (e^z - 1) where z <= 0: Klambauer et al., "Self-normalizing neural
 * networks" (2017) */
#define SCALE v_set1((real)1.0507009873554804934)
#define SCALE_ALPHA v_set1((real)1.7580993408473768599)
static NNC_ALWAYS_INLINE vreal NNC_FN(f_selu)(vreal z)
{
    return v_select(z > 0, SCALE * z, SCALE_ALPHA * v_expm1(z));
}

/* f' = SCALE where a > 0, else SCALE alpha e^z = a + SCALE alpha */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_selu)(vreal da, vreal a)
{
    return da * v_select(a > 0, SCALE, a + SCALE_ALPHA);
}
#undef SCALE
#undef SCALE_ALPHA

/* z P(z), P the standard normal distribution itself: no approximation by tanh */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_gelu)(vreal z)
{
    return v_gelu(z);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(back_gelu)(vreal da, vreal z)
{
    return da * v_gelu_slope(z);
}

/* z sigmoid(z), "swish" */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_silu)(vreal z)
{
    return v_silu(z);
}

/* Numbers beyond which a derivative has reached its limit stand for all those, where an infinite
 * one would meet 0. */
#define FAR_LEFT v_set1(-800)
#define FAR_RIGHT v_set1(40)

static NNC_ALWAYS_INLINE vreal NNC_FN(between)(vreal low, vreal z, vreal high)
{
    return v_select(z < low, low, v_select(z > high, high, z));
}

/* With s = sigmoid(z): f' = s (1 + z (1 - s)). One of s and 1 - s is e^-|z| / (1 + e^-|z|). */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_silu)(vreal da, vreal z)
{
    vreal x = NNC_FN(between)(FAR_LEFT, z, -FAR_LEFT), e = v_exp(-v_abs(x));
    vreal large = 1 / (1 + e), small = e * large;
    vreal s = v_select(x < 0, small, large), rest = v_select(x < 0, large, small);
    return da * (s * v_fma(x, rest, v_set1(1)));
}

/* z w with w = tanh(softplus(z)) = n / (n + 2), where e = e^z and n = e (e + 2) */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_mish)(vreal z)
{
    vreal e = v_exp(v_select(z > FAR_RIGHT, FAR_RIGHT, z)), n = e * (e + 2);
    return v_select(z < FAR_LEFT, FAR_LEFT, z) * (n / (n + 2));
}

/* f' = w + z w', w' = 4 e (e + 1) / (n + 2)^2 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_mish)(vreal da, vreal z)
{
    vreal x = NNC_FN(between)(FAR_LEFT, z, FAR_RIGHT), e = v_exp(x), n = e * (e + 2);
    vreal inverse = 1 / (n + 2), w = n * inverse;
    return da * v_fma(x, 4 * e * ((e + 1) * inverse) * inverse, w);
}

/* log(1 + e^z) */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_softplus)(vreal z)
{
    return v_softplus(z);
}

/* f' = sigmoid(z) = 1 - e^-a */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_softplus)(vreal da, vreal a)
{
    return da * -v_expm1(-a);
}

/* z / (1 + |z|) */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_softsign)(vreal z)
{
    vreal size = v_abs(z);
    return v_sign_of(z, v_select(size > v_set1(0x1p60), v_set1(1), size / (size + 1)));
}

/* f' = 1 / (1 + |z|)^2 = (1 - |a|)^2 */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_softsign)(vreal da, vreal a)
{
    vreal rest = 1 - v_abs(a);
    return da * (rest * rest);
}

/* z hard_sigmoid(z) */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_hard_swish)(vreal z)
{
    return v_keep(~(z <= -3), z * NNC_FN(f_hard_sigmoid)(z));
}

/* f' = z / 3 + 1/2 where |z| < 3; at the kinks it is 0 and 1, as beyond them */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_hard_swish)(vreal da, vreal z)
{
    vreal slope = v_select(z >= 3, v_set1(1), (2 * z + 3) / 6);
    return v_keep(~(z <= -3), da * slope);
}

/* e^z */
static NNC_ALWAYS_INLINE vreal NNC_FN(f_exponential)(vreal z)
{
    return v_exp(z);
}

/* f' = a */
static NNC_ALWAYS_INLINE vreal NNC_FN(back_exponential)(vreal da, vreal a)
{
    return da * a;
}

#undef FAR_LEFT
#undef FAR_RIGHT
