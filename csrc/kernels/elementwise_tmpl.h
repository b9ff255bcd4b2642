/* elementwise_tmpl.h - kernels that treat each element, or each lane of a sum, on its own:
 * functions, activations, classes, sums, and the steps on the parameter block.
 *
 * Each is a loop over whole vectors and one partial vector at the end. */

/* ---------------------------------------------------------------------------- functions */

#define NNC_DEFINE_MAP(id, name)                                                     \
    static void NNC_FN(map_##name)(void *y_, const void *x_, size_t n)               \
    {                                                                                \
        real *y = y_;                                                                \
        const real *x = x_;                                                          \
        NNC_FOR_VECTORS (i, count, n) put(y + i, v_##name(at(x + i, count)), count); \
    }

NNC_FUNCTION_LIST(NNC_DEFINE_MAP)

/* -------------------------------------------------------------------------- activations */

#define NNC_DEFINE_ACTIVATION(id, name, ...)                                                 \
    static void NNC_FN(activate_##name)(void *a_, const void *z_, size_t n)                  \
    {                                                                                        \
        real *a = a_;                                                                        \
        const real *z = z_;                                                                  \
        NNC_FOR_VECTORS (i, count, n) put(a + i, NNC_FN(f_##name)(at(z + i, count)), count); \
    }                                                                                        \
    static void NNC_FN(activate_backward_##name)(void *dz_, const void *da_, const void *x_, \
                                                 size_t n)                                   \
    {                                                                                        \
        real *dz = dz_;                                                                      \
        const real *da = da_, *x = x_;                                                       \
        NNC_FOR_VECTORS (i, count, n)                                                        \
            put(dz + i, NNC_FN(back_##name)(at(da + i, count), at(x + i, count)), count);    \
    }

NNC_ACTIVATION_LIST(NNC_DEFINE_ACTIVATION)

/* ------------------------------------------------------------------------------- classes */

/* 1 where p > 1/2, 0 where p <= 1/2, NaN where p is NaN. */
static NNC_ALWAYS_INLINE vreal NNC_FN(v_class)(vreal p)
{
    const vreal half = v_set1((real)0.5);
    vreal one = v_keep(p > half, v_set1(1));
    return v_select((p > half) | (p <= half), one, p);
}

static void NNC_FN(classify)(void *class_, const void *p_, size_t n)
{
    real *class = class_;
    const real *p = p_;
    NNC_FOR_VECTORS (i, count, n) put(class + i, NNC_FN(v_class)(at(p + i, count)), count);
}

static void NNC_FN(match)(void *hit_, const void *y_hat_, const void *y_, size_t n)
{
    real *hit = hit_;
    const real *y_hat = y_hat_, *y = y_;
    NNC_FOR_VECTORS (i, count, n) {
        vint same = NNC_FN(v_class)(at(y_hat + i, count)) == at(y + i, count);
        put(hit + i, v_keep(same, at(hit + i, count)), count);
    }
}

static void NNC_FN(match_sides)(void *hit_, const void *y_hat_, const void *y_, double threshold,
                                size_t n)
{
    real *hit = hit_;
    const real *y_hat = y_hat_, *y = y_;
    const vreal middle = v_set1((real)threshold);
    NNC_FOR_VECTORS (i, count, n) {
        vreal p = at(y_hat + i, count), target = at(y + i, count);
        vint same = ((p > middle) & (target > middle)) | ((p <= middle) & (target <= middle));
        put(hit + i, v_keep(same, at(hit + i, count)), count);
    }
}

/* ---------------------------------------------------------------------------------- sums */

/* The lanes of a logical vector, folded. */
static double NNC_FN(fold_lanes)(const vreal *parts)
{
    double lanes[LANES];
    for (size_t lane = 0; lane < LANES; lane++)
        lanes[lane] = (double)parts[lane / VLEN][lane % VLEN];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

static void NNC_FN(sum)(double *sum, const void *x_, size_t n)
{
    const real *x = x_;
    vreal parts[PARTS] = {{0}};
    size_t part = 0;
    NNC_FOR_VECTORS (i, count, n) {
        parts[part] += at(x + i, count);
        part = (part + 1) % PARTS;
    }
    *sum = NNC_FN(fold_lanes)(parts);
}

static void NNC_FN(first_nonfinite)(size_t *index, const void *x_, size_t n)
{
    const real *x = x_;
    vint found = {0};
    NNC_FOR_VECTORS (i, count, n) {
        vreal part = at(x + i, count);
        found |= part - part != 0; /* NaN for infinities and NaN */
    }
    size_t i = v_any(found) ? 0 : n;
    while (i < n && x[i] - x[i] == 0) i++;
    *index = i;
}

/* --------------------------------------------------------------- steps on the parameters */

static void NNC_FN(fill)(void *x_, double value, size_t n)
{
    real *x = x_;
    for (size_t i = 0; i < n; i++) x[i] = (real)value;
}

/* The sum over slices of `count` elements at parts, neighbours first. */
static NNC_ALWAYS_INLINE vreal NNC_FN(slice_tree)(const real *parts, size_t n_parts, size_t stride,
                                                  size_t count)
{
    vreal tree[NNC_MAX_SLICES];
    for (size_t s = 0; s < n_parts; s++) tree[s] = at(parts + s * stride, count);
    for (size_t width = n_parts / 2; width > 0; width /= 2)
        for (size_t s = 0; s < width; s++) tree[s] = tree[2 * s] + tree[2 * s + 1];
    return tree[0];
}

static void NNC_FN(add_slices)(void *out_, const void *parts_, size_t n_parts, size_t stride,
                               size_t n)
{
    real *out = out_;
    const real *parts = parts_;
    NNC_FOR_VECTORS (i, count, n)
        put(out + i, NNC_FN(slice_tree)(parts + i, n_parts, stride, count), count);
}

static void NNC_FN(divide)(void *x_, double divisor, size_t n)
{
    real *x = x_;
    for (size_t i = 0; i < n; i++) x[i] /= (real)divisor;
}

static void NNC_FN(subtract)(void *difference_, const void *a_, const void *b_, size_t n)
{
    real *difference = difference_;
    const real *a = a_, *b = b_;
    for (size_t i = 0; i < n; i++) difference[i] = a[i] - b[i];
}

static void NNC_FN(descend)(void *next_, const void *params_, const void *parts_, size_t n_parts,
                            size_t stride, double rate, size_t n)
{
    real *next = next_;
    const real *params = params_, *parts = parts_;
    const vreal step = v_set1((real)-rate);
    NNC_FOR_VECTORS (i, count, n) {
        vreal grads = NNC_FN(slice_tree)(parts + i, n_parts, stride, count);
        put(next + i, v_fma(step, grads, at(params + i, count)), count);
    }
}

static void NNC_FN(update)(void *params_, const void *grads_, double rate, size_t n)
{
    real *params = params_;
    const real *grads = grads_;
    for (size_t i = 0; i < n; i++) params[i] -= (real)rate * grads[i];
}
