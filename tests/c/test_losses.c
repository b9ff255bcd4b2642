/* test_losses.c - the kernels of every loss: against long double, their derivatives against finite
 * differences, kinks and limits, weights, tails, and the same bits on all ISAs with FMA. */
#include "core/base.h"
#include "kernels/kernels.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

enum { SENTINEL = 77, MOST = 70 };

/* Two values of each loss's parameter. */
static double parameter_of(nnc_loss loss, int which)
{
    return which == 0 ? nnc_loss_parameter(loss) : nnc_loss_parameter(loss) * 0.75;
}

static bool is_entropy(nnc_loss loss)
{
    return loss == NNC_LOSS_BCE || loss == NNC_LOSS_CCE || loss == NNC_LOSS_FOCAL;
}

static bool is_of_logarithms(nnc_loss loss)
{
    return is_entropy(loss) || loss == NNC_LOSS_POISSON;
}

/* n outputs and labels that suit the loss. */
static void make_row(nnc_dtype dtype, nnc_loss loss, void *p, void *y, size_t n)
{
    bool positive = is_of_logarithms(loss), unit = is_entropy(loss);
    scatter(dtype, p, n, positive ? 0.01 : -2, unit ? 0.99 : 3, n + 5);
    scatter(dtype, y, n, positive ? 0 : -2, unit ? 1 : 3, n + 6);
    for (size_t i = 0; unit && i < n; i += 2) set(dtype, y, i, get(dtype, y, i) > 0.5L);
}

/* How much the parts of a loss, or of its derivative, come to, which rounding errors grow with. */
static wide size_of(nnc_loss loss, wide p, wide y)
{
    if (loss == NNC_LOSS_POISSON) return 1 + fabsl(p) + y * fabsl(logl(p)) + y / p;
    if (loss == NNC_LOSS_FOCAL) return 20 * (1 / p + 1 / (1 - p));
    if (is_entropy(loss)) return 1 / p + 1 / (1 - p);
    return 2 + (p - y) * (p - y) + fabsl(p) + fabsl(y);
}

static void check_row(nnc_dtype dtype, nnc_loss loss, double c, size_t n)
{
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    void *p = room(dtype, n), *y = room(dtype, n), *w = room(dtype, n);
    void *dy = room(dtype, n + 1), *plain = room(dtype, n);
    double sum, alone, unweighted, ones;
    wide exact = 0, exact_weighted = 0, scale = 1;
    bool close = true, products = true;
    make_row(dtype, loss, p, y, n);
    scatter(dtype, w, n, 0, 3, n + 7);
    if (n > 2) set(dtype, w, 2, 0);
    CASE("%s %s %s c %g n %zu", nnc_cpu_info().isa, dtype_name(dtype), nnc_loss_name(loss), c, n);
    kernels->loss[loss](&unweighted, plain, p, y, NULL, c, n);
    set(dtype, dy, n, SENTINEL);
    kernels->loss[loss](&sum, dy, p, y, w, c, n);
    kernels->loss[loss](&alone, NULL, p, y, w, c, n);
    CHECK(sum == alone && get(dtype, dy, n) == SENTINEL);
    for (size_t i = 0; i < n; i++) {
        wide p_i = get(dtype, p, i), y_i = get(dtype, y, i), size = size_of(loss, p_i, y_i);
        wide slope = slope_with(loss, c, p_i, y_i);
        exact += loss_with(loss, c, p_i, y_i);
        exact_weighted += get(dtype, w, i) * loss_with(loss, c, p_i, y_i);
        scale += 3 * size;
        close &= fabsl(get(dtype, plain, i) - slope) <= 8 * epsilon(dtype) * size;
        products &= get(dtype, dy, i) == times(dtype, get(dtype, plain, i), get(dtype, w, i));
    }
    CHECK(close);
    CHECK(products);
    CHECK(fabsl(unweighted - exact) <= (wide)(n + 8) * epsilon(dtype) * scale);
    CHECK(fabsl(sum - exact_weighted) <= (wide)(n + 8) * epsilon(dtype) * scale);
    for (size_t i = 0; i < n; i++) set(dtype, w, i, 1);
    kernels->loss[loss](&ones, dy, p, y, w, c, n);
    CHECK(ones == unweighted && same(dtype, dy, plain, n));
    free(p), free(y), free(w), free(dy), free(plain);
}

static void check_rows(nnc_dtype dtype)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++)
        for (int which = 0; which < 2; which++)
            for (size_t n = 0; n <= MOST; n += n < 20 ? 1 : 5)
                check_row(dtype, (nnc_loss)loss, parameter_of((nnc_loss)loss, which), n);
}

TEST(every_loss_and_derivative)
{
    for_each_isa(check_rows);
}

/* In double: the derivative is the limit of what the kernel itself says of the loss. */
static void check_differences(nnc_dtype dtype)
{
    const double step = 0x1p-18;
    if (dtype != NNC_F64) return;
    for (int l = 0; l < NNC_LOSS_COUNT; l++) {
        for (int which = 0; which < 2; which++) {
            nnc_loss loss = (nnc_loss)l;
            double p[MOST], y[MOST], dy[MOST], z[MOST], p_hat, dz, c = parameter_of(loss, which);
            make_row(dtype, loss, p, y, MOST);
            for (size_t i = 0; i < MOST && is_of_logarithms(loss); i++) p[i] = 0.2 + 0.6 * p[i];
            nnc_kernels_for(dtype)->loss[loss](z, dy, p, y, NULL, c, MOST);
            for (size_t i = 0; i < MOST; i++) {
                double at[] = {p[i] + step, p[i] - step}, above, below, ignored;
                CASE("%s %s c %g p %g y %g", nnc_cpu_info().isa, nnc_loss_name(loss), c, p[i],
                     y[i]);
                bool kink = loss == NNC_LOSS_HINGE && fabs(fabs(p[i]) - 1) < 2 * step;
                if (kink || fabs(p[i] - y[i]) < 2 * step) continue;
                nnc_kernels_for(dtype)->loss[loss](&above, &ignored, at, y + i, NULL, c, 1);
                nnc_kernels_for(dtype)->loss[loss](&below, &ignored, at + 1, y + i, NULL, c, 1);
                double slope = (above - below) / (2 * step);
                CHECK(fabs(slope - dy[i]) <= 1e-8 * fmax(1, fabs(dy[i])));

                if (!nnc_kernels_for(dtype)->loss_from_logits[loss]) continue;
                double logit = 8 * p[i] - 4, logits[] = {logit + step, logit - step};
                nnc_kernels_for(dtype)->loss_from_logits[loss](&ignored, &dz, &p_hat, &logit, y + i,
                                                               NULL, c, 1);
                for (int k = 0; k < 2; k++)
                    nnc_kernels_for(dtype)->loss_from_logits[loss](
                        k ? &below : &above, &ignored, &p_hat, logits + k, y + i, NULL, c, 1);
                slope = (above - below) / (2 * step);
                CHECK(fabs(slope - dz) <= 1e-9 * fmax(1, fabs(dz)));
            }
        }
    }
}

TEST(derivatives_are_those_of_the_losses)
{
    for_each_isa(check_differences);
}

/* Cross-entropy after sigmoid, free of cancellation, times the power of what is wrong. */
static wide focal_of(wide z, wide y, wide c)
{
    wide tail = log1pl(expl(-fabsl(z)));
    wide entropy = (z > 0 ? (1 - y) * z : -y * z) + tail;
    return powl(y * sigmoid(-z) + (1 - y) * sigmoid(z), c) * entropy;
}

static wide focal_slope_of(wide z, wide y, wide c)
{
    wide p = sigmoid(z), q = sigmoid(-z), wrong = y * q + (1 - y) * p;
    wide entropy = (z > 0 ? (1 - y) * z : -y * z) + log1pl(expl(-fabsl(z)));
    return powl(wrong, c) * ((1 - y) * p - y * q + c * entropy * (1 - 2 * y) * p * q / wrong);
}

static void check_focal(nnc_dtype dtype)
{
    static const double targets[] = {0, 1, 0.25}, powers[] = {0, 0.5, 1, 2, 5};
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    for (size_t t = 0; t < N_OF(targets); t++) {
        for (size_t k = 0; k < N_OF(powers); k++) {
            for (double logit = -100; logit <= 100; logit += logit > -9 && logit < 9 ? 0.25 : 4) {
                double z[1], y[1], p[1], dz[1], sum;
                set(dtype, z, 0, logit), set(dtype, y, 0, targets[t]);
                kernels->loss_from_logits[NNC_LOSS_FOCAL](&sum, dz, p, z, y, NULL, powers[k], 1);
                wide exact = focal_of(logit, targets[t], powers[k]);
                wide slope = focal_slope_of(logit, targets[t], powers[k]);
                CASE("%s %s y %g c %g z %g", nnc_cpu_info().isa, dtype_name(dtype), targets[t],
                     powers[k], logit);
                /* the error of a power grows with its logarithm; what underflows is 0 */
                wide least = dtype == NNC_F32 ? 1e-36L : 1e-300L, grow = 16 + 2 * fabs(logit) * 5;
                wide error = grow * epsilon(dtype);
                CHECK(fabsl(sum - exact) <= error * exact + least);
                CHECK(fabsl(get(dtype, p, 0) - sigmoid(logit)) <= 4 * epsilon(dtype));
                wide parts = targets[t] == 0.25 ? 1 : fabsl(slope);
                CHECK(fabsl(get(dtype, dz, 0) - slope) <= error * parts + least);
            }
        }
    }
}

TEST(focal_loss_from_logits_is_accurate)
{
    for_each_isa(check_focal);
}

static void slopes_at(nnc_dtype dtype, nnc_loss loss, double c, double p_, double y_, double value)
{
    double p[1], y[1], dy[1], sum;
    set(dtype, p, 0, p_), set(dtype, y, 0, y_);
    nnc_kernels_for(dtype)->loss[loss](&sum, dy, p, y, NULL, c, 1);
    CASE("%s %s %s p %g y %g", nnc_cpu_info().isa, dtype_name(dtype), nnc_loss_name(loss), p_, y_);
    CHECK(get(dtype, dy, 0) == value);
}

static void check_kinks(nnc_dtype dtype)
{
    slopes_at(dtype, NNC_LOSS_MAE, 0, 1.5, 1.5, 0);
    slopes_at(dtype, NNC_LOSS_QUANTILE, 0.25, 1.5, 1.5, 0);
    slopes_at(dtype, NNC_LOSS_QUANTILE, 0.25, 2, 1.5, 0.75);
    slopes_at(dtype, NNC_LOSS_QUANTILE, 0.25, 1, 1.5, -0.25);
    slopes_at(dtype, NNC_LOSS_HUBER, 0.5, 2, 1.5, 0.5);
    slopes_at(dtype, NNC_LOSS_HUBER, 0.5, 1, 1.5, -0.5);
    slopes_at(dtype, NNC_LOSS_HUBER, 0.5, -9, 1.5, -0.5);
    slopes_at(dtype, NNC_LOSS_HINGE, 0, 1, 1, 0);
    slopes_at(dtype, NNC_LOSS_HINGE, 0, -1, 0, 0);
    slopes_at(dtype, NNC_LOSS_HINGE, 0, -1, -1, 0);
    slopes_at(dtype, NNC_LOSS_HINGE, 0, 0.5, 1, -1);
    slopes_at(dtype, NNC_LOSS_HINGE, 0, 0.5, 0, 1);
}

TEST(kinks)
{
    for_each_isa(check_kinks);
}

/* Also where a weight is 0. */
static void check_nan(nnc_dtype dtype)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        double p[1], y[1], dy[1], y_hat[1], w[1], sum;
        set(dtype, p, 0, NAN), set(dtype, y, 0, 1), set(dtype, w, 0, 0);
        CASE("%s %s %s", nnc_cpu_info().isa, dtype_name(dtype), nnc_loss_name((nnc_loss)loss));
        nnc_kernels_for(dtype)->loss[loss](&sum, dy, p, y, NULL, 0.5, 1);
        CHECK(isnan(sum) && isnan(get(dtype, dy, 0)));
        nnc_kernels_for(dtype)->loss[loss](&sum, dy, p, y, w, 0.5, 1);
        CHECK(isnan(sum) && isnan(get(dtype, dy, 0)));
        if (!nnc_kernels_for(dtype)->loss_from_logits[loss]) continue;
        nnc_kernels_for(dtype)->loss_from_logits[loss](&sum, dy, y_hat, p, y, NULL, 0.5, 1);
        CHECK(isnan(sum) && isnan(get(dtype, dy, 0)) && isnan(get(dtype, y_hat, 0)));
    }
}

TEST(nan_passes)
{
    for_each_isa(check_nan);
}

/* Weights multiply what the kernels give without them; n + 1 is not written. */
static void check_logits(nnc_dtype dtype)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        const nnc_kernels *kernels = nnc_kernels_for(dtype);
        for (size_t n = 0; kernels->loss_from_logits[loss] && n <= MOST; n++) {
            void *z = room(dtype, n), *y = room(dtype, n), *w = room(dtype, n), *p = room(dtype, n);
            void *dz = room(dtype, n + 1), *plain = room(dtype, n);
            double sum, expected = 0, alone;
            bool products = true;
            size_t item = nnc_dtype_size(dtype);
            CASE("%s %s loss %d n %zu", nnc_cpu_info().isa, dtype_name(dtype), loss, n);
            scatter(dtype, z, n, -5, 5, n), scatter(dtype, y, n, 0, 1, n + 1);
            scatter(dtype, w, n, 0, 2, n + 2);
            set(dtype, dz, n, SENTINEL);
            kernels->loss_from_logits[loss](&sum, dz, p, z, y, w, 1.5, n);
            CHECK(get(dtype, dz, n) == SENTINEL);
            kernels->loss_from_logits[loss](&alone, plain, p, z, y, NULL, 1.5, n);
            for (size_t i = 0; i < n; i++) {
                double one, slope[1], p_i[1];
                wide weight = get(dtype, w, i);
                kernels->loss_from_logits[loss](&one, slope, p_i, (char *)z + i * item,
                                                (char *)y + i * item, NULL, 1.5, 1);
                expected += one * (double)weight;
                products &= get(dtype, plain, i) == get(dtype, slope, 0) &&
                            get(dtype, p, i) == get(dtype, p_i, 0) &&
                            get(dtype, dz, i) == times(dtype, get(dtype, slope, 0), weight);
            }
            CHECK(products);
            CHECK(fabs(sum - expected) <= 16 * (double)epsilon(dtype) * expected);
            free(z), free(y), free(w), free(p), free(dz), free(plain);
        }
    }
}

TEST(weights_of_losses_from_logits)
{
    for_each_isa(check_logits);
}

static void check_softmax(nnc_dtype dtype)
{
    for (size_t n_out = 1; n_out <= 5; n_out += 2) {
        for (size_t cols = 0; cols <= 40; cols++) {
            const nnc_kernels *kernels = nnc_kernels_for(dtype);
            size_t ld = cols + 3, n = n_out * ld, item = nnc_dtype_size(dtype);
            void *z = room(dtype, n), *y = room(dtype, n), *w = room(dtype, ld);
            void *dz = room(dtype, n), *hit = room(dtype, ld + 1), *one_hit = room(dtype, ld);
            double sum, ones, plain, expected = 0;
            bool products = true;
            CASE("%s %s n_out %zu cols %zu", nnc_cpu_info().isa, dtype_name(dtype), n_out, cols);
            scatter(dtype, z, n, -3, 3, n), scatter(dtype, y, n, 0, 1, n + 1);
            scatter(dtype, w, ld, 0, 2, n + 2);
            memcpy(dz, z, n * item);
            set(dtype, hit, cols, SENTINEL);
            kernels->softmax_loss(&sum, hit, dz, y, w, n_out, cols, ld);
            CHECK(get(dtype, hit, cols) == SENTINEL);
            for (size_t j = 0; j < cols; j++) {
                char *column = (char *)z + j * item;
                double *alone = room(NNC_F64, n);
                for (size_t i = 0; i < n_out; i++)
                    set(dtype, alone, i * ld, get(dtype, column, i * ld));
                kernels->softmax_loss(&plain, one_hit, alone, (char *)y + j * item, NULL, n_out, 1,
                                      ld);
                wide weight = get(dtype, w, j);
                expected += plain * (double)weight;
                for (size_t i = 0; i < n_out; i++)
                    products &= get(dtype, dz, i * ld + j) ==
                                times(dtype, get(dtype, alone, i * ld), weight);
                products &= get(dtype, hit, j) == get(dtype, one_hit, 0) * weight;
                free(alone);
            }
            CHECK(products);
            CHECK(fabs(sum - expected) <= 32 * (double)epsilon(dtype) * (1 + expected));
            for (size_t j = 0; j < ld; j++) set(dtype, w, j, 1);
            memcpy(dz, z, n * item);
            kernels->softmax_loss(&ones, hit, dz, y, w, n_out, cols, ld);
            kernels->softmax_loss(&plain, one_hit, z, y, NULL, n_out, cols, ld);
            CHECK(ones == plain && same(dtype, dz, z, n));
            free(z), free(y), free(w), free(dz), free(hit), free(one_hit);
        }
    }
}

TEST(weights_of_softmax)
{
    for_each_isa(check_softmax);
}

static void check_sides(nnc_dtype dtype)
{
    static const double values[] = {NAN, -1, 0, 0.25, 0.5, 0.75, 1, INFINITY};
    for (size_t k = 0; k < N_OF(values) * N_OF(values) * 2; k++) {
        double threshold = k % 2 * 0.5, p = values[k / 2 % N_OF(values)];
        double y = values[k / 2 / N_OF(values)];
        bool known = !isnan(p) && !isnan(y);
        for (size_t n = 1; n <= 19; n += 6) {
            void *ps = room(dtype, n), *ys = room(dtype, n), *hit = room(dtype, n + 1);
            for (size_t i = 0; i < n; i++)
                set(dtype, ps, i, p), set(dtype, ys, i, y), set(dtype, hit, i, 3);
            set(dtype, hit, n, SENTINEL);
            CASE("%s %s p %g y %g", nnc_cpu_info().isa, dtype_name(dtype), p, y);
            nnc_kernels_for(dtype)->match_sides(hit, ps, ys, threshold, n);
            wide expected = known && (p > threshold) == (y > threshold) ? 3 : 0;
            CHECK(get(dtype, hit, 0) == expected && get(dtype, hit, n - 1) == expected);
            CHECK(get(dtype, hit, n) == SENTINEL);
            free(ps), free(ys), free(hit);
        }
    }
}

TEST(match_sides)
{
    for_each_isa(check_sides);
}

TEST(fma_isas_agree)
{
    enum { N = 1000 };
    nnc_cpu cpu = nnc_cpu_info();
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            nnc_dtype dtype = (nnc_dtype)d;
            void *p = room(dtype, N), *y = room(dtype, N), *w = room(dtype, N);
            void *out[2] = {room(dtype, N), room(dtype, N)}, *p_hat = room(dtype, N);
            void *first[2] = {NULL, NULL};
            double sums[2] = {0}, first_sums[2] = {0};
            make_row(dtype, (nnc_loss)loss, p, y, N);
            scatter(dtype, w, N, 0, 2, 3);
            for (size_t i = 0; cpu.available[i]; i++) {
                nnc_select_isa(cpu.available[i]);
                const nnc_kernels *kernels = nnc_kernels_for(dtype);
                if (!nnc_cpu_info().fma) continue;
                CASE("%s %s loss %d", cpu.available[i], dtype_name(dtype), loss);
                kernels->loss[loss](&sums[0], out[0], p, y, w, 0.75, N);
                if (kernels->loss_from_logits[loss])
                    kernels->loss_from_logits[loss](&sums[1], out[1], p_hat, p, y, w, 0.75, N);
                for (int k = 0; k < 2; k++) {
                    if (!first[k]) {
                        first[k] = memcpy(room(dtype, N), out[k], N * nnc_dtype_size(dtype));
                        first_sums[k] = sums[k];
                    }
                    CHECK(same(dtype, first[k], out[k], N) && sums[k] == first_sums[k]);
                }
            }
            free(p), free(y), free(w), free(out[0]), free(out[1]), free(p_hat);
            free(first[0]), free(first[1]);
        }
    }
    nnc_select_isa(NULL);
}

SUITE()
{
    RUN(every_loss_and_derivative);
    RUN(derivatives_are_those_of_the_losses);
    RUN(focal_loss_from_logits_is_accurate);
    RUN(kinks);
    RUN(nan_passes);
    RUN(weights_of_losses_from_logits);
    RUN(weights_of_softmax);
    RUN(match_sides);
    RUN(fma_isas_agree);
}
