/* activation_tmpl.h - the activation functions. For each name of NNC_ACTIVATION_LIST:
 *
 *   f_<name>(z)          a = f(z)
 *   back_<name>(da, a)   da * f'(z), with the derivative in terms of a = f(z)
 *
 * NaN in means NaN out. */

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
