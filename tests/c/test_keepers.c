/* test_keepers.c - dropout, layer norm and batch norm: trainings and predictions against plain
 * loops, gradients against finite differences, and how such networks end, go on, or are refused. */
#include "kernels/kernels.h"
#include "nnc.h"
#include "plain.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static bool agree(nnc_dtype dtype, const void *got, const double *expected, size_t n,
                  double tolerance)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all &= fabs((double)get(dtype, got, i) - expected[i]) <=
               tolerance * fmax(1, fabs(expected[i]));
    return all;
}

/* ------------------------------------------------------------------------------- random */

TEST(philox_gives_the_published_numbers)
{
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t expected[4];
    } cases[] = {{{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
                 {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                  0xffffffffffffffff,
                  {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
                 {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                  0x299f31d0a4093822,
                  {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        uint32_t words[4];
        memcpy(words, cases[i].counter, sizeof words);
        plain_philox(words, cases[i].key);
        CHECK(memcmp(words, cases[i].expected, sizeof words) == 0);
    }
}

/* Each element by itself: kept or not, times f'; columns beyond n repeat the last. */
static void check_masks(nnc_dtype dtype)
{
    enum { FEATURES = 11, ROOM = FEATURES * NNC_PANEL };
    static const uint64_t steps[] = {0, 1, 0xffffffff, 0x100000000, 0xabcd12345678};
    static const size_t counts[] = {1, 7, 16, 31, 32};
    static const double rates[] = {0, 0.25, 0.5, 0.999, 1 - 0x1p-53, 0x1p-33};
    const nnc_kernels *kernels = nnc_kernels_for(dtype);
    void *x = room(dtype, ROOM), *y = room(dtype, ROOM), *a = room(dtype, ROOM);
    scatter(dtype, x, ROOM, 1, 2, 3);
    scatter(dtype, a, ROOM, 0, 1, 4);
    for (size_t i = 0; i < N_OF(steps) * N_OF(counts) * N_OF(rates); i++) {
        size_t n = counts[i % N_OF(counts)], first = i % 3 * NNC_PANEL, layer = i % 4 * 1000;
        double rate = rates[i / N_OF(counts) % N_OF(rates)];
        nnc_dropout d = {.seed = 0xfedcba9876543210 + i,
                         .step = steps[i % N_OF(steps)],
                         .layer = layer,
                         .threshold = (uint64_t)ceil(rate * 0x1p32),
                         .scale = 1 / (1 - rate)};
        bool right = true, sloped = true, in_place = true;
        kernels->dropout(y, x, &d, NULL, NNC_ACT_IDENTITY, FEATURES, first, n, NNC_PANEL);
        CASE("%s isa %s n %zu rate %g step %llx", dtype_name(dtype), nnc_cpu_info().isa, n, rate,
             (unsigned long long)d.step);
        for (size_t k = 0; k < ROOM; k++) {
            size_t column = k % NNC_PANEL, sample = first + (column < n ? column : n - 1);
            wide scale = rounded(dtype, d.scale);
            bool kept = plain_keeps(d.seed, d.step, layer, sample, k / NNC_PANEL, rate);
            right &= get(dtype, y, k) == (kept ? rounded(dtype, get(dtype, x, k) * scale) : 0);
        }
        CHECK(right);
        void *z = room(dtype, ROOM), *w = room(dtype, ROOM);
        memcpy(w, a, ROOM * nnc_dtype_size(dtype));
        kernels->dropout(z, x, &d, a, NNC_ACT_SIGMOID, FEATURES, first, n, NNC_PANEL);
        kernels->dropout(w, x, &d, w, NNC_ACT_SIGMOID, FEATURES, first, n, NNC_PANEL);
        for (size_t k = 0; k < ROOM; k++) {
            wide exact = get(dtype, y, k) * slope(NNC_ACT_SIGMOID, get(dtype, a, k));
            sloped &= fabsl(get(dtype, z, k) - exact) <= 8 * epsilon(dtype) * fabsl(exact);
            in_place &= get(dtype, z, k) == get(dtype, w, k);
        }
        CHECK(sloped);
        CHECK(in_place);
        free(z), free(w);
    }
    free(x), free(y), free(a);
}

TEST(masks_are_philox)
{
    for_each_isa(check_masks);
}

/* ------------------------------------------------------------------------- trajectories */

/* Parameters, running moments, costs, and then predictions of many and of one. */
static void check_course(course *t, double tolerance)
{
    double *params = doubles(t->dtype, t->params, block_of(t)), *cost = zeros(t->epochs);
    plain_fit(t, params, cost);
    plain_batch b = make_plain_batch(t, t->m);
    double *x = doubles(t->dtype, t->x, t->m * t->n_in);
    memcpy(b.a[0], x, t->m * t->n_in * sizeof *x);
    plain_forward(t, &b, params, t->m, 0, false);
    void *y = room(t->dtype, t->m * t->n_out);
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_predictor *predictor;
        nnc_select_isa(cpu.available[i]);
        CASE("%s %s layers %zu params %zu m %zu batch %zu optimizer %d", cpu.available[i],
             dtype_name(t->dtype), t->net.n_layers, t->net.n_params, t->m, t->fitting.batch,
             t->stepper.optimizer);
        CHECK(fit(t) == NNC_OK && t->done == t->epochs);
        CHECK(agree(t->dtype, t->trained, params, block_of(t), tolerance));
        CHECK(agree(NNC_F64, t->cost, cost, t->epochs, tolerance));
        CHECK(make_predictor(t, &predictor) == NNC_OK);
        CHECK(nnc_predict(predictor, t->trained, &t->fitting.data, y, 2, &t->fitting.monitor) ==
              NNC_OK);
        CHECK(agree(t->dtype, y, b.a[t->net.n_layers], t->m * t->n_out, 10 * tolerance));
        for (size_t j = 0; j < t->m; j += 41) {
            size_t item = nnc_dtype_size(t->dtype);
            nnc_predict_one(predictor, t->trained, (char *)t->x + j * t->n_in * item, y);
            CHECK(
                agree(t->dtype, y, b.a[t->net.n_layers] + j * t->n_out, t->n_out, 10 * tolerance));
        }
        nnc_predictor_free(predictor);
    }
    nnc_select_isa(NULL);
    free_plain_batch(&b);
    free(params), free(cost), free(x), free(y);
}

TEST(small_networks_train_as_plain_loops_do)
{
    static const size_t batches[] = {1, 5, 32, 33, 100, 1000};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < ORDERS * N_OF(batches); i++) {
            for (int adam = 0; adam < 2; adam++) {
                course t = small_course(i % ORDERS, (nnc_dtype)dtype,
                                        adam ? NNC_ACT_RELU : NNC_ACT_SIGMOID, 203, 3);
                t.fitting.batch = batches[i / ORDERS];
                t.shuffled = i % 2;
                if (adam) use_adam(&t);
                check_course(&t, dtype == NNC_F32 ? 2e-4 : 1e-10);
                free_course(&t);
            }
        }
    }
}

TEST(wide_networks_train_as_plain_loops_do)
{
    static const size_t batches[] = {33, 100, 150};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < 2 * N_OF(batches); i++) {
            course t = wide_course((nnc_dtype)dtype, i % 2, 150, 1);
            t.fitting.batch = batches[i / 2];
            t.fitting.n_threads = 1 + i % 3;
            if (i / 2 == 1) use_adam(&t);
            check_course(&t, dtype == NNC_F32 ? 2e-4 : 1e-10);
            free_course(&t);
        }
    }
}

/* ---------------------------------------------------------------------------- gradients */

/* A step of gradient descent with rate 1 from params (block_of) subtracts the gradient. */
static double cost_of_step(course *t, const double *params)
{
    memcpy(t->params, params, block_of(t) * sizeof *params);
    CHECK(fit(t) == NNC_OK);
    return t->cost[0];
}

TEST(gradients_are_those_of_plain_loops_and_of_differences)
{
    static const size_t sizes[] = {1, 5, 33};
    for (size_t i = 0; i < ORDERS * N_OF(sizes); i++) {
        const double h = 1e-5;
        course t = small_course(i % ORDERS, NNC_F64, NNC_ACT_SIGMOID, sizes[i / ORDERS], 1);
        size_t n = t.net.n_params;
        double *params = doubles(NNC_F64, t.params, block_of(&t)), *grads = zeros(n), cost;
        double *plain = doubles(NNC_F64, t.params, block_of(&t));
        CASE("order %zu m %zu", i % ORDERS, t.m);
        t.stepper.learning_rate = 1;
        t.fitting.batch = t.m;
        plain_fit(&t, plain, &cost);
        CHECK(fabs(cost_of_step(&t, params) - cost) <= 1e-12 * fmax(1, cost));
        for (size_t k = 0; k < n; k++) {
            grads[k] = params[k] - ((double *)t.trained)[k];
            CHECK(fabs(grads[k] - (params[k] - plain[k])) <= 1e-10 * fmax(1, fabs(grads[k])));
        }
        for (size_t k = 0; k < n; k++) {
            double here = params[k];
            params[k] = here + h;
            double above = cost_of_step(&t, params);
            params[k] = here - h;
            double below = cost_of_step(&t, params);
            params[k] = here;
            CHECK(fabs((above - below) / (2 * h) - grads[k]) <= 1e-7 * fmax(1, fabs(grads[k])));
        }
        free(params), free(grads), free(plain);
        free_course(&t);
    }
}

/* -------------------------------------------------------------------------------- endings */

TEST(dropout_keeps_the_mean)
{
    enum { N = 50, M = 400 };
    const nnc_layer layers[] = {dropout(N, 0.3), dense(N, 1, NNC_ACT_IDENTITY)};
    course t = course_of(NNC_F64, NNC_LOSS_SSE, layers, N_OF(layers), M, 1);
    for (size_t i = 0; i < N * M; i++) ((double *)t.x)[i] = 1;
    for (size_t i = 0; i <= N; i++) ((double *)t.params)[i] = i < N ? 1.0 / N : 0;
    for (size_t j = 0; j < M; j++) ((double *)t.y)[j] = 1; /* the cost is the sum of variances */
    t.stepper.learning_rate = 0;
    t.fitting.batch = M;
    CHECK(fit(&t) == NNC_OK);
    double expected = M * 0.3 / 0.7 / N, deviation = expected * sqrt(2.0 / M);
    CHECK(fabs(t.cost[0] - expected) < 4 * deviation);
    free_course(&t);
}

SUITE()
{
    RUN(philox_gives_the_published_numbers);
    RUN(masks_are_philox);
    RUN(small_networks_train_as_plain_loops_do);
    RUN(wide_networks_train_as_plain_loops_do);
    RUN(gradients_are_those_of_plain_loops_and_of_differences);
    RUN(dropout_keeps_the_mean);
}
