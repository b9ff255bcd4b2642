/* loss_tmpl.h - the losses, a row of samples at a time. For each name of NNC_LOSS_LIST:
 *
 *   l_<name>(y_hat, y)    the loss of each lane
 *   dl_<name>(y_hat, y)   its derivative by y_hat
 */

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

/* -(y log p + (1 - y) log(1 - p)) */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_binary_cross_entropy)(vreal p, vreal y)
{
    vreal log_p = v_log(NNC_FN(v_at_least)(p, LEAST_P));
    vreal log_q = v_log(NNC_FN(v_at_least)(1 - p, LEAST_Q));
    return -v_fma(y, log_p, (1 - y) * log_q);
}

/* -(y / p - (1 - y) / (1 - p)) */
static NNC_ALWAYS_INLINE vreal NNC_FN(dl_binary_cross_entropy)(vreal p, vreal y)
{
    vreal q = NNC_FN(v_at_least)(1 - p, LEAST_Q);
    return (1 - y) / q - y / NNC_FN(v_at_least)(p, LEAST_P);
}

/* -y log p */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_categorical_cross_entropy)(vreal p, vreal y)
{
    return -(y * v_log(NNC_FN(v_at_least)(p, LEAST_P)));
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_categorical_cross_entropy)(vreal p, vreal y)
{
    return -(y / NNC_FN(v_at_least)(p, LEAST_P));
}

#undef LEAST_P
#undef LEAST_Q

/* (y - p)^2 */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_sum_of_squares)(vreal p, vreal y)
{
    return (y - p) * (y - p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_sum_of_squares)(vreal p, vreal y)
{
    return 2 * (p - y);
}

/* The sum; core/loss.c divides. */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_mean_squared_error)(vreal p, vreal y)
{
    return NNC_FN(l_sum_of_squares)(p, y);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(dl_mean_squared_error)(vreal p, vreal y)
{
    return NNC_FN(dl_sum_of_squares)(p, y);
}

#define NNC_DEFINE_LOSS(id, name)                                                               \
    static void NNC_FN(loss_##name)(double *sum, void *dy_, const void *y_hat_, const void *y_, \
                                    size_t n)                                                   \
    {                                                                                           \
        real *dy = dy_;                                                                         \
        const real *y_hat = y_hat_, *y = y_;                                                    \
        vreal parts[PARTS] = {{0}};                                                             \
        size_t part = 0;                                                                        \
        NNC_FOR_VECTORS (i, count, n) {                                                         \
            vreal p = at(y_hat + i, count), target = at(y + i, count);                          \
            parts[part] += v_keep(v_first(count), NNC_FN(l_##name)(p, target));                 \
            part = (part + 1) % PARTS;                                                          \
            if (dy) put(dy + i, NNC_FN(dl_##name)(p, target), count);                           \
        }                                                                                       \
        *sum = NNC_FN(fold_lanes)(parts);                                                       \
    }

NNC_LOSS_LIST(NNC_DEFINE_LOSS)

/* Cross-entropy after sigmoid, where p = sigmoid(z): -log p = softplus(-z), -log(1 - p) =
 * softplus(z), so the loss is softplus(z) - y z, and its derivative by z is p - y. The large terms
 * max(z, 0) and y z meet first, or the loss of a sample that is right would drown in them. */
static NNC_ALWAYS_INLINE vreal NNC_FN(l_from_logits)(vreal z, vreal y)
{
    return v_fma(-y, z, v_keep(z > 0, z)) + v_softplus_tail(z);
}

static void NNC_FN(loss_from_logits)(double *sum, void *dz_, void *y_hat_, const void *z_,
                                     const void *y_, size_t n)
{
    real *dz = dz_, *y_hat = y_hat_;
    const real *z = z_, *y = y_;
    vreal parts[PARTS] = {{0}};
    size_t part = 0;
    NNC_FOR_VECTORS (i, count, n) {
        vreal logit = at(z + i, count), target = at(y + i, count), p = v_sigmoid(logit);
        vreal loss = NNC_FN(l_from_logits)(logit, target);
        parts[part] += v_keep(v_first(count), loss);
        part = (part + 1) % PARTS;
        put(y_hat + i, p, count);
        put(dz + i, p - target, count);
    }
    *sum = NNC_FN(fold_lanes)(parts);
}
