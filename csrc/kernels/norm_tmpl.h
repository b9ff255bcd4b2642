/* norm_tmpl.h - layer norm and batch norm. Vector lanes are samples, so that a sum over features is
 * a chain in each lane; a sum over samples runs in logical lanes, folded in the end. */

/* Vectors of samples that layer norm takes at a time. */
#define NNC_NORM_VECTORS 4

/* --------------------------------------------------------------------------- layer norm */

/* Samples in `vectors` vectors of `count`: VLEN, unless there is but one. Always inlined, with a
 * constant for vectors. */
static NNC_ALWAYS_INLINE void NNC_FN(layer_norm_columns)(size_t vectors, size_t count, real *out,
                                                         real *x_hat, real *deviation,
                                                         const real *x, const real *gamma,
                                                         real epsilon, size_t features, size_t ld)
{
    const real *beta = gamma + features;
    const vreal n = v_set1((real)features);
    vreal mean[NNC_NORM_VECTORS], scale[NNC_NORM_VECTORS];
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) mean[j] = scale[j] = (vreal){0};
    for (size_t i = 0; i < features; i++) {
#pragma GCC unroll 4
        for (size_t j = 0; j < vectors; j++) mean[j] += at(x + i * ld + j * VLEN, count);
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) mean[j] /= n;
    for (size_t i = 0; i < features; i++) {
#pragma GCC unroll 4
        for (size_t j = 0; j < vectors; j++) {
            vreal distance = at(x + i * ld + j * VLEN, count) - mean[j];
            scale[j] = v_fma(distance, distance, scale[j]);
        }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) {
        scale[j] = 1 / v_sqrt(scale[j] / n + epsilon);
        if (deviation) put(deviation + j * VLEN, scale[j], count);
    }
    for (size_t i = 0; i < features; i++) {
        const vreal factor = v_set1(gamma[i]), offset = v_set1(beta[i]);
#pragma GCC unroll 4
        for (size_t j = 0; j < vectors; j++) {
            size_t place = i * ld + j * VLEN;
            vreal standard = (at(x + place, count) - mean[j]) * scale[j];
            if (x_hat) put(x_hat + place, standard, count);
            put(out + place, v_fma(standard, factor, offset), count);
        }
    }
}

static void NNC_FN(layer_norm)(void *out_, void *x_hat_, void *deviation_, const void *x_,
                               const void *gamma, double epsilon, size_t features, size_t cols,
                               size_t ld)
{
    real *out = out_, *x_hat = x_hat_, *deviation = deviation_;
    const real *x = x_;
    for (size_t j = 0; j < cols;) {
        size_t many = NNC_NORM_VECTORS * VLEN, count = nnc_min(cols - j, VLEN);
        real *x_hat_j = x_hat ? x_hat + j : NULL, *deviation_j = deviation ? deviation + j : NULL;
        if (cols - j >= many) {
            NNC_FN(layer_norm_columns)(NNC_NORM_VECTORS, VLEN, out + j, x_hat_j, deviation_j, x + j,
                                       gamma, (real)epsilon, features, ld);
            j += many;
        } else {
            NNC_FN(layer_norm_columns)(1, count, out + j, x_hat_j, deviation_j, x + j, gamma,
                                       (real)epsilon, features, ld);
            j += count;
        }
    }
}

/* With g = dz gamma, and means over features: (g - mean of g - x_hat (mean of g x_hat)) times the
 * deviation's reciprocal. */
static void NNC_FN(layer_norm_backward)(void *dx_, const void *dz_, const void *x_hat_,
                                        const void *deviation_, const void *gamma_, const void *x_,
                                        nnc_activation f, size_t features, size_t cols)
{
    real *dx = dx_;
    const real *dz = dz_, *x_hat = x_hat_, *gamma = gamma_, *deviation = deviation_;
    const real *x = x_ ? x_ : dx_; /* not read for identity */
    const vreal n = v_set1((real)features);
    for (size_t j = 0; j < cols; j += VLEN) {
        vreal sum = {0}, product = {0}, scale = v_load(deviation + j);
        for (size_t i = 0; i < features; i++) {
            size_t place = i * NNC_PANEL + j;
            vreal g = v_load(dz + place) * gamma[i];
            sum += g;
            product = v_fma(g, v_load(x_hat + place), product);
        }
        sum /= n;
        product /= n;
        for (size_t i = 0; i < features; i++) {
            size_t place = i * NNC_PANEL + j;
            vreal g = v_load(dz + place) * gamma[i];
            vreal d = scale * v_fma(-product, v_load(x_hat + place), g - sum);
            NNC_FN(hand_back)(f, dx + place, d, x + place);
        }
    }
}

/* --------------------------------------------------------------------------- batch norm */

/* The next VLEN of n samples, of which there may be fewer: then zeros. */
static NNC_ALWAYS_INLINE vreal NNC_FN(samples_only)(vreal x, size_t start, size_t n)
{
    return start + VLEN <= n ? x : v_keep(v_first(start < n ? n - start : 0), x);
}

/* means (4) of rows of n samples in panels; of the squares of their distances from `from` where
 * that is not NULL. */
static NNC_ALWAYS_INLINE void NNC_FN(means)(real *means, const real *const *rows, const real *from,
                                            size_t n, size_t panel)
{
    vreal lanes[4][PARTS];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
#pragma GCC unroll 4
        for (size_t part = 0; part < PARTS; part++) lanes[i][part] = (vreal){0};
    }
    for (size_t start = 0, jump = 0; start < n; start += NNC_PANEL, jump += panel) {
        for (size_t s = 0; s < nnc_min(n - start, NNC_PANEL); s += LANES) {
#pragma GCC unroll 4
            for (size_t part = 0; part < PARTS; part++) {
                size_t column = s + part * VLEN;
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; i++) {
                    vreal x = v_load(rows[i] + jump + column);
                    if (from) x -= from[i];
                    x = NNC_FN(samples_only)(x, start + column, n);
                    lanes[i][part] = from ? v_fma(x, x, lanes[i][part]) : lanes[i][part] + x;
                }
            }
        }
    }
    v_fold4(means, lanes[0], lanes[1], lanes[2], lanes[3]);
    for (size_t i = 0; i < 4; i++) means[i] /= (real)n;
}

static void NNC_FN(moments)(void *moments_, const void *x_, size_t features, size_t n, size_t panel)
{
    real *mean = moments_, *variance = mean + features;
    const real *x = x_;
    for (size_t row = 0; row < features; row += 4) {
        real centre[4], spread[4];
        const real *rows[4];
        for (size_t i = 0; i < 4; i++) rows[i] = x + nnc_min(row + i, features - 1) * NNC_PANEL;
        NNC_FN(means)(centre, rows, NULL, n, panel);
        NNC_FN(means)(spread, rows, centre, n, panel);
        for (size_t i = 0; i < nnc_min(features - row, 4); i++) {
            mean[row + i] = centre[i];
            variance[row + i] = spread[i];
        }
    }
}

static void NNC_FN(batch_norm)(void *out_, void *x_hat_, const void *x_, const void *moments,
                               const void *gamma_, double epsilon, size_t features, size_t cols,
                               size_t ld)
{
    real *out = out_, *x_hat = x_hat_;
    const real *x = x_, *mean = moments, *variance = mean + features;
    const real *gamma = gamma_, *beta = gamma + features;
    for (size_t i = 0; i < features; i++) {
        const vreal scale = 1 / v_sqrt(v_set1(variance[i]) + (real)epsilon);
        const vreal factor = v_set1(gamma[i]), offset = v_set1(beta[i]);
        NNC_FOR_VECTORS (j, count, cols) {
            vreal standard = (at(x + i * ld + j, count) - mean[i]) * scale;
            if (x_hat) put(x_hat + i * ld + j, standard, count);
            put(out + i * ld + j, v_fma(standard, factor, offset), count);
        }
    }
}

/* As layer_norm_backward, with means over the batch, which are sums of the gradients by gamma and
 * beta. */
static void NNC_FN(batch_norm_backward)(void *dx_, const void *dz_, const void *x_hat_,
                                        const void *moments, const void *gamma_, const void *sums_,
                                        double epsilon, size_t batch, const void *x_,
                                        nnc_activation f, size_t features, size_t n, size_t cols)
{
    real *dx = dx_;
    const real *dz = dz_, *x_hat = x_hat_, *gamma = gamma_, *sums = sums_;
    const real *x = x_ ? x_ : dx_; /* not read for identity */
    const real *variance = (const real *)moments + features;
    for (size_t i = 0; i < features; i++) {
        const vreal scale = gamma[i] / v_sqrt(v_set1(variance[i]) + (real)epsilon);
        const vreal product = v_set1(sums[i] / (real)batch);
        const vreal sum = v_set1(sums[features + i] / (real)batch);
        for (size_t j = 0; j < cols; j += VLEN) {
            size_t place = i * NNC_PANEL + j;
            vreal d = scale * v_fma(-product, v_load(x_hat + place), v_load(dz + place) - sum);
            d = NNC_FN(samples_only)(d, j, n);
            NNC_FN(hand_back)(f, dx + place, d, x + place);
        }
    }
}

/* ------------------------------------------------------------------------------ of both */

/* Two features at a time. */
static void NNC_FN(norm_sums)(void *out_, const void *dz_, const void *x_hat_, size_t features,
                              size_t cols, size_t panel, double rate)
{
    real *out = out_;
    const real *dz = dz_, *x_hat = x_hat_;
    for (size_t row = 0; row < features; row += 2) {
        size_t second = nnc_min(row + 1, features - 1);
        const size_t rows[] = {row * NNC_PANEL, second * NNC_PANEL};
        vreal lanes[4][PARTS]; /* by gamma, by beta; the same of the second */
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
#pragma GCC unroll 4
            for (size_t part = 0; part < PARTS; part++) lanes[i][part] = (vreal){0};
        }
        for (size_t start = 0, jump = 0; start < cols; start += NNC_PANEL, jump += panel) {
            for (size_t s = 0; s < nnc_min(cols - start, NNC_PANEL); s += LANES) {
#pragma GCC unroll 4
                for (size_t part = 0; part < PARTS; part++) {
#pragma GCC unroll 2
                    for (size_t i = 0; i < 2; i++) {
                        size_t place = rows[i] + jump + s + part * VLEN;
                        vreal d = v_load(dz + place), *by_gamma = lanes[2 * i];
                        by_gamma[part] = v_fma(d, v_load(x_hat + place), by_gamma[part]);
                        lanes[2 * i + 1][part] += d;
                    }
                }
            }
        }
        real sums[4];
        v_fold4(sums, lanes[0], lanes[1], lanes[2], lanes[3]);
        for (size_t i = 0; i < nnc_min(features - row, 2); i++) {
            NNC_FN(settle)(out + row + i, sums[2 * i], (real)rate);
            NNC_FN(settle)(out + features + row + i, sums[2 * i + 1], (real)rate);
        }
    }
}

static void NNC_FN(blend)(void *next_, const void *before_, const void *now_, double share,
                          size_t n)
{
    real *next = next_;
    const real *before = before_, *now = now_;
    const vreal old = v_set1((real)share), new = v_set1((real)(1 - share));
    NNC_FOR_VECTORS (i, count, n)
        put(next + i, v_fma(old, at(before + i, count), new *at(now + i, count)), count);
}

#undef NNC_NORM_VECTORS
