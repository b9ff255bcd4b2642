/* tiny_tmpl.h - many epochs in one call, for a network of two layers with one output on a few
 * samples: between epochs nothing but the history goes to memory, registers permitting.
 *
 * A vector holds one hidden unit on all samples, or several units side by side where it is longer
 * than that; where it is shorter, a unit takes several vectors, its parts. Parameters are repeated
 * on all lanes of their unit, and a sum over samples comes out on all of them, so that an update
 * needs no detour. The output's row is repeated once for each unit of a vector.
 *
 * An epoch is one chain of dependent operations: what is not on it costs next to nothing. Branches
 * on the shape and the functions are free, too: they go the same way in every epoch. */

/* Lane i of the result is lane X(i, k) of x. */
#define NNC_LANES_2(X, k, i) X(i, k), X(i + 1, k)
#define NNC_LANES_4(X, k, i) NNC_LANES_2(X, k, i), NNC_LANES_2(X, k, i + 2)
#define NNC_LANES_8(X, k, i) NNC_LANES_4(X, k, i), NNC_LANES_4(X, k, i + 4)
#define NNC_LANES_16(X, k, i) NNC_LANES_8(X, k, i), NNC_LANES_8(X, k, i + 8)
#if NNC_VECTOR_BYTES == 64 && !NNC_REAL_IS_DOUBLE
#define NNC_MOVE(x, X, k) __builtin_shufflevector(x, x, NNC_LANES_16(X, k, 0))
#elif NNC_VECTOR_BYTES == 64 || (NNC_VECTOR_BYTES == 32 && !NNC_REAL_IS_DOUBLE)
#define NNC_MOVE(x, X, k) __builtin_shufflevector(x, x, NNC_LANES_8(X, k, 0))
#elif NNC_VECTOR_BYTES == 32 || !NNC_REAL_IS_DOUBLE
#define NNC_MOVE(x, X, k) __builtin_shufflevector(x, x, NNC_LANES_4(X, k, 0))
#else
#define NNC_MOVE(x, X, k) __builtin_shufflevector(x, x, NNC_LANES_2(X, k, 0))
#endif

/* Vectors of the largest network. */
#if NNC_VECTOR_BYTES == 64 && !NNC_REAL_IS_DOUBLE
#define TINY_PARTS 1
#else
#define TINY_PARTS (NNC_TINY_SAMPLES / VLEN)
#endif
#define TINY_VECTORS (NNC_TINY_HIDDEN * TINY_PARTS)

/* x + the same with blocks of h lanes swapped. */
static NNC_ALWAYS_INLINE vreal NNC_FN(plus_swapped)(vreal x, size_t h)
{
#define SWAPPED(i, k) (((i) ^ (k)) % VLEN)
    switch (h) {
        case 4:
            return x + NNC_MOVE(x, SWAPPED, 4);
        case 2:
            return x + NNC_MOVE(x, SWAPPED, 2);
        default:
            return x + NNC_MOVE(x, SWAPPED, 1);
    }
#undef SWAPPED
}

/* The `unit`th block of `samples` lanes of x, in all blocks. */
static NNC_ALWAYS_INLINE vreal NNC_FN(spread)(vreal x, size_t samples, size_t unit)
{
#define OF_4(i, k) (((i) % 4 + 4 * (k)) % VLEN)
#define OF_8(i, k) (((i) % 8 + 8 * (k)) % VLEN)
    if (samples >= VLEN) return x;
    if (samples == 8) return unit == 0 ? NNC_MOVE(x, OF_8, 0) : NNC_MOVE(x, OF_8, 1);
    switch (unit) {
        case 0:
            return NNC_MOVE(x, OF_4, 0);
        case 1:
            return NNC_MOVE(x, OF_4, 1);
        case 2:
            return NNC_MOVE(x, OF_4, 2);
        default:
            return NNC_MOVE(x, OF_4, 3);
    }
#undef OF_4
#undef OF_8
}

/* On each lane, the sum over its unit's samples, which are the lanes of x (parts). A logical vector
 * that is longer holds zeros beside them: adding one makes +0 of a sum that is -0. */
static NNC_ALWAYS_INLINE vreal NNC_FN(sum_samples)(vreal *x, size_t samples)
{
    for (size_t half = samples / VLEN / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) x[i] += x[i + half];
    vreal sum = samples < LANES ? *x + 0 : *x;
    for (size_t h = nnc_min(samples, VLEN) / 2; h > 0; h /= 2) sum = NNC_FN(plus_swapped)(sum, h);
    return sum;
}

/* The same sum, of doubles; never -0. */
static NNC_ALWAYS_INLINE double NNC_FN(total)(vreal *x, size_t samples)
{
#if NNC_REAL_IS_DOUBLE
    return (NNC_FN(sum_samples)(x, samples) + 0)[0];
#else
    double lanes[NNC_TINY_SAMPLES];
    for (size_t i = 0; i < samples; i++) lanes[i] = (double)x[i / VLEN][i % VLEN];
    for (size_t half = samples / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0] + 0;
#endif
}

/* f(z) */
static NNC_ALWAYS_INLINE vreal NNC_FN(activated)(nnc_activation f, vreal z)
{
#define NNC_ACTIVATED(id, name, ...) \
    case NNC_ACT_##id:               \
        return NNC_FN(f_##name)(z);
    switch (f) {
        NNC_TINY_ACTIVATION_LIST(NNC_ACTIVATED)
        default:
            break;
    }
#undef NNC_ACTIVATED
    return z;
}

/* da * f'(z), from a = f(z) */
static NNC_ALWAYS_INLINE vreal NNC_FN(chained)(nnc_activation f, vreal da, vreal a)
{
#define NNC_CHAINED(id, name, ...) \
    case NNC_ACT_##id:             \
        return NNC_FN(back_##name)(da, a);
    switch (f) {
        NNC_TINY_ACTIVATION_LIST(NNC_CHAINED)
        default:
            break;
    }
#undef NNC_CHAINED
    return da;
}

/* From z of the output: the prediction, its loss, and the derivative of that by z. */
static NNC_ALWAYS_INLINE vreal NNC_FN(judged)(nnc_loss f, nnc_activation activation, vreal z,
                                              vreal y, vreal *loss, vreal *dz)
{
    const vreal zero = {0}; /* none of these losses has a parameter */
    if (f == NNC_LOSS_BCE && activation == NNC_ACT_SIGMOID) {
        vreal p = v_sigmoid(z);
        *loss = NNC_FN(lz_binary_cross_entropy)(z, p, y, zero);
        *dz = p - y;
        return p;
    }
    vreal p = NNC_FN(activated)(activation, z), dp = p;
    *loss = p;
#define NNC_JUDGED_LARGE(id, name)
#define NNC_JUDGED_TINY(id, name)             \
    case NNC_LOSS_##id:                       \
        *loss = NNC_FN(l_##name)(p, y, zero); \
        dp = NNC_FN(dl_##name)(p, y, zero);   \
        break;
#define NNC_JUDGED(id, name, mean, labels, size, ...) NNC_JUDGED_##size(id, name)
    switch (f) {
        NNC_LOSS_LIST(NNC_JUDGED)
        default:
            break;
    }
#undef NNC_JUDGED
#undef NNC_JUDGED_TINY
#undef NNC_JUDGED_LARGE
    *dz = NNC_FN(chained)(activation, dp, p);
    return p;
}

/* What the registers hold, in memory. x and y are as long as the lanes of a unit or as a vector,
 * whichever is longer. */
typedef struct {
    real w1[NNC_TINY_HIDDEN][NNC_TINY_INPUTS][VLEN], b1[NNC_TINY_HIDDEN][VLEN];
    real w2[NNC_TINY_HIDDEN][VLEN], b2[VLEN];
    real x[NNC_TINY_INPUTS][TINY_PARTS * VLEN], y[TINY_PARTS * VLEN];
    real inside[TINY_PARTS * VLEN]; /* 1 where there is a sample */
} NNC_FN(tiny_state);

static void NNC_FN(tiny_load)(NNC_FN(tiny_state) *to, size_t samples, const real *params,
                              const nnc_layer *layers, const real *x, const real *y, size_t m,
                              size_t ld)
{
    size_t width = nnc_min(samples, VLEN), n_in = layers[0].n_in, n_hidden = layers[0].n_out;
    const real *w1 = params + layers[0].w, *w2 = params + layers[1].w;
    *to = (NNC_FN(tiny_state)){0};
    for (size_t unit = 0; unit < n_hidden; unit++) {
        for (size_t i = 0; i < width; i++) {
            size_t vector = unit * width / VLEN, lane = unit * width % VLEN + i;
            for (size_t k = 0; k < n_in; k++) to->w1[vector][k][lane] = w1[unit * n_in + k];
            if (layers[0].has_bias) to->b1[vector][lane] = params[layers[0].b + unit];
            to->w2[vector][lane] = w2[unit];
        }
    }
    for (size_t i = 0; i < VLEN; i++) to->b2[i] = layers[1].has_bias ? params[layers[1].b] : 0;
    for (size_t i = 0; i < nnc_max(samples, VLEN); i++) {
        for (size_t k = 0; k < n_in; k++) to->x[k][i] = x[k * ld + i % samples];
        to->y[i] = y[i % samples];
        to->inside[i] = i % samples < m;
    }
}

static void NNC_FN(tiny_store)(real *params, const nnc_layer *layers, size_t samples,
                               const NNC_FN(tiny_state) *from)
{
    size_t width = nnc_min(samples, VLEN), n_in = layers[0].n_in, n_hidden = layers[0].n_out;
    for (size_t unit = 0; unit < n_hidden; unit++) {
        size_t vector = unit * width / VLEN, lane = unit * width % VLEN;
        for (size_t k = 0; k < n_in; k++)
            params[layers[0].w + unit * n_in + k] = from->w1[vector][k][lane];
        if (layers[0].has_bias) params[layers[0].b + unit] = from->b1[vector][lane];
        params[layers[1].w + unit] = from->w2[vector][lane];
    }
    if (layers[1].has_bias) params[layers[1].b] = from->b2[0];
}

/* Always inlined, with constants for samples, the lanes of a unit, and, where vectors are to stay
 * in registers, for hidden: at least the number of hidden units. */
static NNC_ALWAYS_INLINE void NNC_FN(tiny)(size_t samples, size_t hidden, NNC_FN(tiny_state) *state,
                                           const nnc_layer *layers, nnc_loss loss, double rate,
                                           size_t epochs, double *cost, double *hits)
{
    enum { INPUTS = NNC_TINY_INPUTS, HIDDEN = NNC_TINY_HIDDEN };
    const size_t units = samples < VLEN ? VLEN / samples : 1; /* in a vector */
    const size_t parts = samples > VLEN ? samples / VLEN : 1; /* vectors of a unit */
    const size_t groups = nnc_ceil_div(hidden, units);        /* of units that share a vector */
    const size_t n_in = layers[0].n_in, n_hidden = layers[0].n_out;
    const nnc_activation f1 = layers[0].activation, f2 = layers[1].activation;
    const bool bias1 = layers[0].has_bias, bias2 = layers[1].has_bias;
    const vreal zero = {0}, step = v_set1((real)-rate);
    vreal w1[HIDDEN][INPUTS], b1[HIDDEN], w2[HIDDEN], b2 = v_load(state->b2);
    vreal x[INPUTS][TINY_PARTS], y[TINY_PARTS];
    vint inside[TINY_PARTS];

    for (size_t g = 0; g < groups; g++) {
        for (size_t k = 0; k < INPUTS; k++) w1[g][k] = v_load(state->w1[g][k]);
        b1[g] = v_load(state->b1[g]);
        w2[g] = v_load(state->w2[g]);
    }
    for (size_t i = 0; i < parts; i++) {
        for (size_t k = 0; k < INPUTS; k++) x[k][i] = v_load(state->x[k] + i * VLEN);
        y[i] = v_load(state->y + i * VLEN);
        inside[i] = v_load(state->inside + i * VLEN) > 0;
    }

    for (size_t epoch = 0; epoch < epochs; epoch++) {
        vreal a[TINY_VECTORS], da[TINY_VECTORS];
        vreal p[TINY_PARTS], dz[TINY_PARTS], losses[TINY_PARTS], sum[TINY_PARTS];

        for (size_t g = 0; g < groups; g++) {
#pragma GCC unroll 1
            for (size_t i = 0; i < parts; i++) {
                vreal z = v_fma(w1[g][0], x[0][i], b1[g]);
                if (n_in > 1) z = v_fma(w1[g][1], x[1][i], z);
                if (n_in > 2) z = v_fma(w1[g][2], x[2][i], z);
                if (n_in > 3) z = v_fma(w1[g][3], x[3][i], z);
                a[g * parts + i] = NNC_FN(activated)(f1, z);
            }
        }
#pragma GCC unroll 1
        for (size_t i = 0; i < parts; i++) {
            vreal z = b2;
            for (size_t g = 0; g < groups; g++) {
#pragma GCC unroll 4
                for (size_t unit = 0; unit < units; unit++) {
                    vreal w = NNC_FN(spread)(w2[g], samples, unit);
                    vreal in = NNC_FN(spread)(a[g * parts + i], samples, unit);
                    if (g * units + unit < n_hidden) z = v_fma(w, in, z);
                }
            }
            p[i] = NNC_FN(judged)(loss, f2, z, y[i], &losses[i], &dz[i]);
            dz[i] = v_keep(inside[i], dz[i]);
            losses[i] = v_keep(inside[i], losses[i]);
        }
        cost[epoch] = NNC_FN(total)(losses, samples);
        if (hits) {
            for (size_t i = 0; i < parts; i++)
                sum[i] = v_keep(inside[i] & (NNC_FN(v_class)(p[i]) == y[i]), v_set1(1));
            hits[epoch] = NNC_FN(total)(sum, samples);
        }

        for (size_t g = 0; g < groups; g++)
#pragma GCC unroll 1
            for (size_t i = 0; i < parts; i++)
                da[g * parts + i] = NNC_FN(chained)(f1, w2[g] * dz[i], a[g * parts + i]);
        for (size_t g = 0; g < groups; g++) {
            for (size_t i = 0; i < parts; i++) sum[i] = v_fma(dz[i], a[g * parts + i], zero);
            w2[g] = v_fma(step, NNC_FN(sum_samples)(sum, samples), w2[g]);
        }
        if (bias2) {
            for (size_t i = 0; i < parts; i++) sum[i] = dz[i] + zero;
            b2 = v_fma(step, NNC_FN(sum_samples)(sum, samples), b2);
        }
        for (size_t g = 0; g < groups; g++) {
#pragma GCC unroll 4
            for (size_t k = 0; k < INPUTS; k++) {
                if (k > 1 && k >= n_in) break;
                for (size_t i = 0; i < parts; i++) sum[i] = v_fma(da[g * parts + i], x[k][i], zero);
                w1[g][k] = v_fma(step, NNC_FN(sum_samples)(sum, samples), w1[g][k]);
            }
        }
        if (bias1) {
            for (size_t g = 0; g < groups; g++) {
                for (size_t i = 0; i < parts; i++) sum[i] = da[g * parts + i] + zero;
                b1[g] = v_fma(step, NNC_FN(sum_samples)(sum, samples), b1[g]);
            }
        }
    }

    for (size_t g = 0; g < groups; g++) {
        for (size_t k = 0; k < INPUTS; k++) v_store(state->w1[g][k], w1[g][k]);
        v_store(state->b1[g], b1[g]);
        v_store(state->w2[g], w2[g]);
    }
    v_store(state->b2, b2);
}

static void NNC_FN(train_tiny)(void *params, const nnc_layer *layers, nnc_loss loss, const void *x,
                               const void *y, size_t m, size_t ld, double rate, size_t epochs,
                               double *cost, double *hits)
{
    NNC_FN(tiny_state) state;
    size_t n_hidden = layers[0].n_out, samples = m <= 4 && n_hidden <= 4 ? 4 : 8;
    NNC_FN(tiny_load)(&state, samples, params, layers, x, y, m, ld);
    if (samples == 4)
        NNC_FN(tiny)(4, 4, &state, layers, loss, rate, epochs, cost, hits);
    else
        NNC_FN(tiny)(8, n_hidden, &state, layers, loss, rate, epochs, cost, hits);
    NNC_FN(tiny_store)(params, layers, samples, &state);
}

#undef NNC_LANES_2
#undef NNC_LANES_4
#undef NNC_LANES_8
#undef NNC_LANES_16
#undef NNC_MOVE
#undef TINY_PARTS
#undef TINY_VECTORS
