/* loss_tmpl.h - the losses, a row of samples at a time. For each name of NNC_LOSS_LIST, where c is
 * the loss's parameter:
 *
 *   l_<name>(p, y, c)    the loss of each lane
 *   dl_<name>(p, y, c)   its derivative by p
 *
 * and for each name of NNC_LOGIT_LOSS_LIST, where p = sigmoid(z):
 *
 *   lz_<name>(z, p, y, c), dlz_<name>(z, p, y, c)   the loss, and its derivative by z
 *
 * NaN in means NaN out. */

/* p, but `least` where |p| is smaller: NaN and impossible negative values stay what they are. */
static NNC_ALWAYS_INLINE vreal NNC_FN(v_at_least)(vreal p, real least)
{
    return v_select(v_abs(p) < v_set1(least), v_set1(least), p);
}

#if NNC_REAL_IS_DOUBLE
#define LEAST_P 0x1p-1022 /* the smallest normal number */
#define LEAST_Q 0x1p-53   /* the smallest positive 1 - p, for p below 1 */
#else
#define LEAST_P 0x1p-126f
#define LEAST_Q 0x1p-24f
#endif

/* -------------------------------------------------------------------------- cross-entropy */

/* -(y log p + (1 - y) log(1 - p)) */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_binary_cross_entropy)(vreal p, vreal y, vreal c)
{
    (void)c;
    vreal log_p = v_log(NNC_FN(v_at_least)(p, LEAST_P));
    vreal log_q = v_log(NNC_FN(v_at_least)(1 - p, LEAST_Q));
    return -v_fma(y, log_p, (1 - y) * log_q);
}

/* -(y / p - (1 - y) / (1 - p)) */
static NNC_ALWAYS_INLINE vreal NNC_FN(dl_binary_cross_entropy)(vreal p, vreal y, vreal c)
{
    (void)c;
    vreal q = NNC_FN(v_at_least)(1 - p, LEAST_Q);
    return (1 - y) / q - y / NNC_FN(v_at_least)(p, LEAST_P);
}

/* -log p = softplus(-z) and -log(1 - p) = softplus(z), so the loss is softplus(z) - y z. The large
 * terms max(z, 0) and y z meet first, or the loss of a sample that is right would drown in them. */
static NNC_ALWAYS_INLINE vreal NNC_FN(lz_binary_cross_entropy)(vreal z, vreal p, vreal y, vreal c)
{
    (void)p, (void)c;
    return v_fma(-y, z, v_keep(z > 0, z)) + v_softplus_tail(z);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dlz_binary_cross_entropy)(vreal z, vreal p, vreal y, vreal c)
{
    (void)z, (void)c;
    return p - y;
}

/* -y log p */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_categorical_cross_entropy)(vreal p, vreal y, vreal c)
{
    (void)c;
    return -(y * v_log(NNC_FN(v_at_least)(p, LEAST_P)));
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_categorical_cross_entropy)(vreal p, vreal y, vreal c)
{
    (void)c;
    return -(y / NNC_FN(v_at_least)(p, LEAST_P));
}

/* How wrong p is, w = y q + (1 - y) p with q = 1 - p; *power = w^c. */
static NNC_ALWAYS_INLINE vreal NNC_FN(focus)(vreal p, vreal q, vreal y, vreal c, vreal *power)
{
    vreal w = NNC_FN(v_at_least)(v_fma(y, q, (1 - y) * p), LEAST_P);
    *power = v_exp(c * v_log(w));
    return w;
}

static NNC_ALWAYS_INLINE vreal NNC_FN(l_binary_focal_cross_entropy)(vreal p, vreal y, vreal c)
{
    vreal power;
    NNC_FN(focus)(p, 1 - p, y, c, &power);
    return power * NNC_FN(l_binary_cross_entropy)(p, y, c);
}

/* With l the cross-entropy: w^c (l' + c l w' / w), w' = 1 - 2 y. */
static NNC_ALWAYS_INLINE vreal NNC_FN(dl_binary_focal_cross_entropy)(vreal p, vreal y, vreal c)
{
    vreal power, w = NNC_FN(focus)(p, 1 - p, y, c, &power);
    vreal turn = c * NNC_FN(l_binary_cross_entropy)(p, y, c) * (1 - 2 * y) / w;
    return power * (NNC_FN(dl_binary_cross_entropy)(p, y, c) + turn);
}

/* 1 - p, without what p loses near 1, is sigmoid(-z). */
static NNC_ALWAYS_INLINE vreal NNC_FN(lz_binary_focal_cross_entropy)(vreal z, vreal p, vreal y,
                                                                     vreal c)
{
    vreal power;
    NNC_FN(focus)(p, v_sigmoid(-z), y, c, &power);
    return power * NNC_FN(lz_binary_cross_entropy)(z, p, y, c);
}

/* The same as dl_ times p q, where l' p q = p - y = (1 - y) p - y q. */
static NNC_ALWAYS_INLINE vreal NNC_FN(dlz_binary_focal_cross_entropy)(vreal z, vreal p, vreal y,
                                                                      vreal c)
{
    vreal q = v_sigmoid(-z), power, w = NNC_FN(focus)(p, q, y, c, &power);
    vreal turn = c * NNC_FN(lz_binary_cross_entropy)(z, p, y, c) * (1 - 2 * y) * (p * q / w);
    return power * (v_fma(-y, q, (1 - y) * p) + turn);
}

/* -------------------------------------------------------------------------------- numbers */

/* (y - p)^2 */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_sum_of_squares)(vreal p, vreal y, vreal c)
{
    (void)c;
    return (y - p) * (y - p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_sum_of_squares)(vreal p, vreal y, vreal c)
{
    (void)c;
    return 2 * (p - y);
}

/* The sum; core/loss.c divides, here as for all that follow. */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_mean_squared_error)(vreal p, vreal y, vreal c)
{
    return NNC_FN(l_sum_of_squares)(p, y, c);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_mean_squared_error)(vreal p, vreal y, vreal c)
{
    return NNC_FN(dl_sum_of_squares)(p, y, c);
}

/* `above` where e > 0, `below` where e < 0, else e: 0 or NaN. */
static NNC_ALWAYS_INLINE vreal NNC_FN(v_by_sign)(vreal e, vreal above, vreal below)
{
    return v_select(e > 0, above, v_select(e < 0, below, e));
}

/* |p - y| */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_mean_absolute_error)(vreal p, vreal y, vreal c)
{
    (void)c;
    return v_abs(p - y);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_mean_absolute_error)(vreal p, vreal y, vreal c)
{
    (void)c;
    return NNC_FN(v_by_sign)(p - y, v_set1(1), v_set1(-1));
}

/* e^2 / 2 where |e| <= c, else c (|e| - c / 2) */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_huber)(vreal p, vreal y, vreal c)
{
    const vreal half = v_set1((real)0.5);
    vreal e = p - y, size = v_abs(e);
    return v_select(size <= c, half * e * e, c * (size - half * c));
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_huber)(vreal p, vreal y, vreal c)
{
    vreal e = p - y;
    return v_select(v_abs(e) <= c, e, NNC_FN(v_by_sign)(e, c, -c));
}

/* c (y - p) below y, (1 - c) (p - y) above */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_quantile)(vreal p, vreal y, vreal c)
{
    vreal e = p - y;
    return e * NNC_FN(v_by_sign)(e, 1 - c, -c);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_quantile)(vreal p, vreal y, vreal c)
{
    return NNC_FN(v_by_sign)(p - y, 1 - c, -c);
}

/* p - y log p */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_poisson)(vreal p, vreal y, vreal c)
{
    (void)c;
    return v_fma(-y, v_log(NNC_FN(v_at_least)(p, LEAST_P)), p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_poisson)(vreal p, vreal y, vreal c)
{
    (void)c;
    return 1 - y / NNC_FN(v_at_least)(p, LEAST_P);
}

/* ---------------------------------------------------------------------------------- hinge */

/* max(0, 1 - t p), t the sign of y; by comparison, because maximum instructions swallow NaN */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_hinge)(vreal p, vreal y, vreal c)
{
    (void)c;
    vreal missing = 1 - v_select(y > 0, p, -p);
    return v_keep(~(missing <= 0), missing);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_hinge)(vreal p, vreal y, vreal c)
{
    vreal slope = v_select(y > 0, v_set1(-1), v_set1(1));
    return v_keep(~(NNC_FN(l_hinge)(p, y, c) <= 0), slope + (p - p));
}

#undef LEAST_P
#undef LEAST_Q

/* ----------------------------------------------------------------------------------- rows */

/* Weights have copies of their own, out of line, so that they cost nothing where there are none. */
#define NNC_DEFINE_LOSS(id, name, ...)                                                             \
    static NNC_ALWAYS_INLINE void NNC_FN(loss_of_##name)(double *sum, real *dy, const real *y_hat, \
                                                         const real *y, const real *weights,       \
                                                         vreal c, size_t n)                        \
    {                                                                                              \
        vreal parts[PARTS] = {{0}};                                                                \
        size_t part = 0;                                                                           \
        NNC_FOR_VECTORS (i, count, n) {                                                            \
            vreal p = at(y_hat + i, count), target = at(y + i, count);                             \
            vreal loss = NNC_FN(l_##name)(p, target, c);                                           \
            if (weights) loss *= at(weights + i, count);                                           \
            parts[part] += v_keep(v_first(count), loss);                                           \
            part = (part + 1) % PARTS;                                                             \
            if (!dy) continue;                                                                     \
            vreal slope = NNC_FN(dl_##name)(p, target, c);                                         \
            if (weights) slope *= at(weights + i, count);                                          \
            put(dy + i, slope, count);                                                             \
        }                                                                                          \
        *sum = NNC_FN(fold_lanes)(parts);                                                          \
    }                                                                                              \
    static __attribute__((noinline)) void NNC_FN(weighted_##name)(                                 \
        double *sum, void *dy, const void *y_hat, const void *y, const void *weights, vreal c,     \
        size_t n)                                                                                  \
    {                                                                                              \
        NNC_FN(loss_of_##name)(sum, dy, y_hat, y, weights, c, n);                                  \
    }                                                                                              \
    static void NNC_FN(loss_##name)(double *sum, void *dy, const void *y_hat, const void *y,       \
                                    const void *weights, double parameter, size_t n)               \
    {                                                                                              \
        const vreal c = v_set1((real)parameter);                                                   \
        if (weights)                                                                               \
            NNC_FN(weighted_##name)(sum, dy, y_hat, y, weights, c, n);                             \
        else                                                                                       \
            NNC_FN(loss_of_##name)(sum, dy, y_hat, y, NULL, c, n);                                 \
    }

NNC_LOSS_LIST(NNC_DEFINE_LOSS)

#define NNC_DEFINE_LOGIT_LOSS(id, name)                                                         \
    static NNC_ALWAYS_INLINE void NNC_FN(logit_loss_of_##name)(                                 \
        double *sum, real *dz, real *y_hat, const real *z, const real *y, const real *weights,  \
        vreal c, size_t n)                                                                      \
    {                                                                                           \
        vreal parts[PARTS] = {{0}};                                                             \
        size_t part = 0;                                                                        \
        NNC_FOR_VECTORS (i, count, n) {                                                         \
            vreal logit = at(z + i, count), target = at(y + i, count), p = v_sigmoid(logit);    \
            vreal loss = NNC_FN(lz_##name)(logit, p, target, c);                                \
            vreal slope = NNC_FN(dlz_##name)(logit, p, target, c);                              \
            if (weights) loss *= at(weights + i, count), slope *= at(weights + i, count);       \
            parts[part] += v_keep(v_first(count), loss);                                        \
            part = (part + 1) % PARTS;                                                          \
            put(y_hat + i, p, count);                                                           \
            put(dz + i, slope, count);                                                          \
        }                                                                                       \
        *sum = NNC_FN(fold_lanes)(parts);                                                       \
    }                                                                                           \
    static __attribute__((noinline)) void NNC_FN(weighted_logit_##name)(                        \
        double *sum, void *dz, void *y_hat, const void *z, const void *y, const void *weights,  \
        vreal c, size_t n)                                                                      \
    {                                                                                           \
        NNC_FN(logit_loss_of_##name)(sum, dz, y_hat, z, y, weights, c, n);                      \
    }                                                                                           \
    static void NNC_FN(logit_loss_##name)(double *sum, void *dz, void *y_hat, const void *z,    \
                                          const void *y, const void *weights, double parameter, \
                                          size_t n)                                             \
    {                                                                                           \
        const vreal c = v_set1((real)parameter);                                                \
        if (weights)                                                                            \
            NNC_FN(weighted_logit_##name)(sum, dz, y_hat, z, y, weights, c, n);                 \
        else                                                                                    \
            NNC_FN(logit_loss_of_##name)(sum, dz, y_hat, z, y, NULL, c, n);                     \
    }

NNC_LOGIT_LOSS_LIST(NNC_DEFINE_LOGIT_LOSS)
