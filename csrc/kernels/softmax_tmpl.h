/* softmax_tmpl.h - softmax over the rows of z (n_out, cols), its logarithm, and its cross-entropy.
 * Vector lanes are samples. */

/* The largest row of each lane, and which row it is: the first of equals. */
static NNC_ALWAYS_INLINE vreal NNC_FN(column_maximum)(vint *index, const real *z, size_t n_out,
                                                      size_t ld, size_t count)
{
    vreal most = at(z, count);
    vint row = {0};
    for (size_t i = 1; i < n_out; i++) {
        vreal value = at(z + i * ld, count);
        vint larger = value > most;
        row = (vint)v_select(larger, (vreal)((vint){0} + (NNC_FN(int))i), (vreal)row);
        most = v_select(larger, value, most);
    }
    *index = row;
    return most;
}

/* z = e^(z - most); returns the sums over rows. */
static NNC_ALWAYS_INLINE vreal NNC_FN(column_exp)(real *z, vreal most, size_t n_out, size_t ld,
                                                  size_t count)
{
    vreal sum = {0};
    for (size_t i = 0; i < n_out; i++) {
        vreal e = v_exp(at(z + i * ld, count) - most);
        put(z + i * ld, e, count);
        sum += e;
    }
    return sum;
}

/* One sample, whose outputs lie side by side, has them in the lanes; with the bits of
 * column_maximum and column_exp. */
static real NNC_FN(row_maximum)(const real *z, size_t n)
{
    real most = z[0];
    for (size_t i = 1; i < n; i++) most = z[i] > most ? z[i] : most;
    return most;
}

/* e = e^(z - most), unless it is NULL; returns their sum. */
static real NNC_FN(row_exp)(real *e, const real *z, real most, size_t n)
{
    real sum = 0;
    NNC_FOR_VECTORS (i, count, n) {
        real powers[VLEN];
        v_store(powers, v_exp(at(z + i, count) - v_set1(most)));
        if (e) memcpy(e + i, powers, count * sizeof(real));
        for (size_t k = 0; k < count; k++) sum += powers[k];
    }
    return sum;
}

static void NNC_FN(softmax_row)(real *z, size_t n)
{
    real sum = NNC_FN(row_exp)(z, z, NNC_FN(row_maximum)(z, n), n), scale = 1 / sum;
    for (size_t i = 0; i < n; i++) z[i] *= scale;
}

static void NNC_FN(log_softmax_row)(real *z, size_t n)
{
    real most = NNC_FN(row_maximum)(z, n), log_sum[VLEN];
    v_store(log_sum, v_log(v_set1(NNC_FN(row_exp)(NULL, z, most, n))));
    for (size_t i = 0; i < n; i++) z[i] = (z[i] - most) - log_sum[0];
}

static void NNC_FN(softmax)(void *z_, size_t n_out, size_t cols, size_t ld)
{
    real *z = z_;
    if (cols == 1 && ld == 1) {
        NNC_FN(softmax_row)(z, n_out);
        return;
    }
    NNC_FOR_VECTORS (j, count, cols) {
        vint index;
        vreal most = NNC_FN(column_maximum)(&index, z + j, n_out, ld, count);
        vreal scale = 1 / NNC_FN(column_exp)(z + j, most, n_out, ld, count);
        for (size_t i = 0; i < n_out; i++)
            put(z + i * ld + j, at(z + i * ld + j, count) * scale, count);
    }
}

/* z - most - log(sum of e^(z - most)): the logarithm of softmax, where that underflows too. */
static void NNC_FN(log_softmax)(void *z_, size_t n_out, size_t cols, size_t ld)
{
    real *z = z_;
    if (cols == 1 && ld == 1) {
        NNC_FN(log_softmax_row)(z, n_out);
        return;
    }
    NNC_FOR_VECTORS (j, count, cols) {
        vint index;
        vreal most = NNC_FN(column_maximum)(&index, z + j, n_out, ld, count), sum = {0};
        for (size_t i = 0; i < n_out; i++) sum += v_exp(at(z + i * ld + j, count) - most);
        vreal log_sum = v_log(sum);
        for (size_t i = 0; i < n_out; i++) {
            real *at_ij = z + i * ld + j;
            put(at_ij, (at(at_ij, count) - most) - log_sum, count);
        }
    }
}

/* With t = the sum of y over outputs (1 for probabilities): the loss is t log(sum of e^z) - y z,
 * its derivative by z is t p - y. */
static NNC_ALWAYS_INLINE void NNC_FN(softmax_loss_of)(double *sum, real *hit, real *z,
                                                      const real *y, const real *weights,
                                                      size_t n_out, size_t cols, size_t ld)
{
    vreal parts[PARTS] = {{0}};
    size_t part = 0;
    NNC_FOR_VECTORS (j, count, cols) {
        vint guess, truth;
        vreal most = NNC_FN(column_maximum)(&guess, z + j, n_out, ld, count), total = {0};
        NNC_FN(column_maximum)(&truth, y + j, n_out, ld, count);
        vreal linear = {0};
        for (size_t i = 0; i < n_out; i++) {
            vreal target = at(y + i * ld + j, count);
            linear = v_fma(target, at(z + i * ld + j, count) - most, linear);
            total += target;
        }
        vreal sums = NNC_FN(column_exp)(z + j, most, n_out, ld, count);
        vreal loss = v_fma(total, v_log(sums), -linear), scale = total / sums;
        vreal weight = weights ? at(weights + j, count) : v_set1(1);
        if (weights) loss *= weight;
        parts[part] += v_keep(v_first(count), loss);
        part = (part + 1) % PARTS;
        if (hit) put(hit + j, v_keep(guess == truth, weight), count);
        for (size_t i = 0; i < n_out; i++) {
            real *at_ij = z + i * ld + j;
            vreal slope = v_fma(at(at_ij, count), scale, -at(y + i * ld + j, count));
            put(at_ij, weights ? slope * weight : slope, count);
        }
    }
    *sum = NNC_FN(fold_lanes)(parts);
}

static
    __attribute__((noinline)) void NNC_FN(weighted_softmax_loss)(double *sum, void *hit, void *z,
                                                                 const void *y, const void *weights,
                                                                 size_t n_out, size_t cols,
                                                                 size_t ld)
{
    NNC_FN(softmax_loss_of)(sum, hit, z, y, weights, n_out, cols, ld);
}

static void NNC_FN(softmax_loss)(double *sum, void *hit, void *z, const void *y,
                                 const void *weights, size_t n_out, size_t cols, size_t ld)
{
    if (weights)
        NNC_FN(weighted_softmax_loss)(sum, hit, z, y, weights, n_out, cols, ld);
    else
        NNC_FN(softmax_loss_of)(sum, hit, z, y, NULL, n_out, cols, ld);
}
