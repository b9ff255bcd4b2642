/* optimizer_tmpl.h - steps on the parameter block, and what comes before and after them. For each
 * name of NNC_OPTIMIZER_LIST:
 *
 *   o_<name>(p, g, s, k)   the parameter p after a step along the gradient g; s: the blocks of
 *                          state, which change; k: the numbers of the step
 */

/* An nnc_step, in every lane. */
typedef struct {
    vreal scale, rate, ahead, beta_1, beta_2, rest_1, rest_2, correction, epsilon;
    vreal momentum, rho, rest_rho;
} NNC_FN(pace);

static NNC_ALWAYS_INLINE NNC_FN(pace) NNC_FN(pace_of)(const nnc_step *step)
{
    return (NNC_FN(pace)){.scale = v_set1((real)step->scale),
                          .rate = v_set1((real)step->rate),
                          .ahead = v_set1((real)step->ahead),
                          .beta_1 = v_set1((real)step->beta_1),
                          .beta_2 = v_set1((real)step->beta_2),
                          .rest_1 = v_set1((real)(1 - step->beta_1)),
                          .rest_2 = v_set1((real)(1 - step->beta_2)),
                          .correction = v_set1((real)step->correction),
                          .epsilon = v_set1((real)step->epsilon),
                          .momentum = v_set1((real)step->momentum),
                          .rho = v_set1((real)step->rho),
                          .rest_rho = v_set1((real)(1 - step->rho))};
}

/* 1, -1, or x where it is a zero or NaN. */
static NNC_ALWAYS_INLINE vreal NNC_FN(v_direction)(vreal x)
{
    return v_select(x > 0, v_set1(1), v_select(x < 0, v_set1(-1), x));
}

/* ---------------------------------------------------------------------------- optimizers */

static NNC_ALWAYS_INLINE vreal NNC_FN(o_sgd)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    (void)s;
    return v_fma(-k->rate, g, p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_momentum)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    s[0] = v_fma(k->momentum, s[0], g);
    return v_fma(-k->rate, s[0], p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_nesterov)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    s[0] = v_fma(k->momentum, s[0], g);
    return v_fma(-k->rate, v_fma(k->momentum, s[0], g), p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_adagrad)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    s[0] = v_fma(g, g, s[0]);
    return v_fma(-k->rate, g / (v_sqrt(s[0]) + k->epsilon), p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_rmsprop)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    s[0] = v_fma(k->rho, s[0], k->rest_rho * g * g);
    s[1] = v_fma(k->momentum, s[1], g / (v_sqrt(s[0]) + k->epsilon));
    return v_fma(-k->rate, s[1], p);
}

/* Means of the gradient and of its square. */
static NNC_ALWAYS_INLINE void NNC_FN(adam_moments)(vreal g, vreal *s, const NNC_FN(pace) *k)
{
    s[0] = v_fma(k->beta_1, s[0], k->rest_1 * g);
    s[1] = v_fma(k->beta_2, s[1], k->rest_2 * g * g);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_adam)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    NNC_FN(adam_moments)(g, s, k);
    return v_fma(-k->rate, s[0] / v_fma(v_sqrt(s[1]), k->correction, k->epsilon), p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_amsgrad)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    NNC_FN(adam_moments)(g, s, k);
    s[2] = v_select(s[2] > s[1], s[2], s[1]);
    return v_fma(-k->rate, s[0] / v_fma(v_sqrt(s[2]), k->correction, k->epsilon), p);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_nadam)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    NNC_FN(adam_moments)(g, s, k);
    vreal way = v_fma(k->rate, s[0], k->ahead * g);
    return p - way / v_fma(v_sqrt(s[1]), k->correction, k->epsilon);
}

static NNC_ALWAYS_INLINE vreal NNC_FN(o_lion)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    vreal way = v_fma(k->beta_1, s[0], k->rest_1 * g);
    s[0] = v_fma(k->beta_2, s[0], k->rest_2 * g);
    return v_fma(-k->rate, NNC_FN(v_direction)(way), p);
}

/* s[1] is 0 before the first step alone, as no later step is that short. */
static NNC_ALWAYS_INLINE vreal NNC_FN(o_rprop)(vreal p, vreal g, vreal *s, const NNC_FN(pace) *k)
{
    const vreal least = v_set1((real)1e-6), most = v_set1(50);
    vreal turn = g * s[0];
    vreal factor =
        v_select(turn > 0, v_set1((real)1.2), v_select(turn < 0, v_set1((real)0.5), v_set1(1)));
    vreal size = v_select(s[1] == 0, k->rate, s[1]) * factor;
    size = v_select(size < least, least, size);
    s[1] = v_select(size > most, most, size);
    s[0] = v_select(turn < 0, v_set1(0), g);
    return v_fma(-NNC_FN(v_direction)(s[0]), s[1], p);
}

#define NNC_DEFINE_STEP(id, name, n_state)                                                         \
    static void NNC_FN(step_##name)(void *next_, const void *params_, void *state_, size_t stride, \
                                    const void *grads_, const nnc_step *step, size_t n)            \
    {                                                                                              \
        enum { STATES = n_state };                                                                 \
        real *next = next_, *state = state_;                                                       \
        const real *params = params_, *grads = grads_;                                             \
        const NNC_FN(pace) k = NNC_FN(pace_of)(step);                                              \
        real *blocks[STATES + 1];                                                                  \
        for (int j = 0; j < STATES; j++) {                                                         \
            blocks[j] = state + (size_t)j * stride;                                                \
            NNC_OPAQUE(blocks[j]);                                                                 \
        }                                                                                          \
        NNC_FOR_VECTORS (i, count, n) {                                                            \
            vreal s[STATES + 1], g = at(grads + i, count) * k.scale;                               \
            for (int j = 0; j < STATES; j++) s[j] = at(blocks[j] + i, count);                      \
            put(next + i, NNC_FN(o_##name)(at(params + i, count), g, s, &k), count);               \
            for (int j = 0; j < STATES; j++) put(blocks[j] + i, s[j], count);                      \
        }                                                                                          \
    }

NNC_OPTIMIZER_LIST(NNC_DEFINE_STEP)

/* ---------------------------------------------------------------------- before and after */

static void NNC_FN(regularize)(double *squares, double *penalty, void *grads_, const void *params_,
                               const nnc_slope *slope, size_t n)
{
    real *grads = grads_;
    const real *params = params_;
    const vreal scale = v_set1((real)slope->scale), most = v_set1((real)slope->most);
    const vreal l1 = v_set1((real)slope->l1), l2 = v_set1((real)slope->l2);
    vreal g_parts[PARTS] = {{0}}, p_parts[PARTS] = {{0}};
    size_t part = 0;
    NNC_FOR_VECTORS (i, count, n) {
        vreal p = at(params + i, count), size = v_abs(p);
        vreal g = v_fma(l2, p, at(grads + i, count) * scale);
        g = v_fma(l1, NNC_FN(v_direction)(p), g);
        g = v_select(g > most, most, v_select(g < -most, -most, g));
        put(grads + i, g, count);
        g_parts[part] = v_fma(g, g, g_parts[part]);
        p_parts[part] += v_fma(l2 * (real)0.5 * p, p, l1 * size);
        part = (part + 1) % PARTS;
    }
    *squares += NNC_FN(fold_lanes)(g_parts);
    *penalty += NNC_FN(fold_lanes)(p_parts);
}

static void NNC_FN(squares)(double *sum, const void *x_, size_t n)
{
    const real *x = x_;
    vreal parts[PARTS] = {{0}};
    size_t part = 0;
    NNC_FOR_VECTORS (i, count, n) {
        vreal factor = at(x + i, count);
        parts[part] = v_fma(factor, factor, parts[part]);
        part = (part + 1) % PARTS;
    }
    *sum = NNC_FN(fold_lanes)(parts);
}

static void NNC_FN(scale)(void *y_, const void *x_, double factor, size_t n)
{
    real *y = y_;
    const real *x = x_;
    NNC_FOR_VECTORS (i, count, n) put(y + i, at(x + i, count) * v_set1((real)factor), count);
}

static void NNC_FN(average)(void *average_, const void *x_, double decay, size_t n)
{
    real *average = average_;
    const real *x = x_;
    const vreal rest = v_set1((real)(1 - decay));
    NNC_FOR_VECTORS (i, count, n) {
        vreal mean = at(average + i, count);
        put(average + i, v_fma(rest, at(x + i, count) - mean, mean), count);
    }
}
