/* test_fit_bits.c - nnc_fit and nnc_predict give the same bits on any number of threads, on all
 * ISAs with FMA, and however their inputs lie in memory. */
#include "course.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static const size_t small[] = {5, 9, 7, 3, 0, 0}, broad[] = {64, 300, 200, 4, 0, 0};
static const size_t largest_net[] = {40, 600, 1100, 10, 0, 0};
static const size_t narrow[] = {20, 40, 30, 3, 0, 0};

/* All that a training leaves, and what the network then predicts. */
static char *outcome(course *t, size_t *bytes)
{
    size_t item = nnc_dtype_size(t->dtype), params = t->net.n_params * item;
    size_t history = t->epochs * sizeof(double), outputs = t->n_out * t->m * item;
    nnc_predictor *predictor;
    CHECK(fit(t) == NNC_OK && t->done == t->epochs);
    *bytes = 3 * params + 2 * history + outputs;
    char *all = malloc(*bytes), *end = all;
    if (!all) abort();
    memcpy(end, t->trained, params), end += params;
    memcpy(end, t->state, 2 * params), end += 2 * params;
    memcpy(end, t->cost, history), end += history;
    memcpy(end, t->accuracy, history), end += history;
    CHECK(make_predictor(t, &predictor) == NNC_OK);
    CHECK(nnc_predict(predictor, t->trained, &t->fitting.data, end, t->fitting.n_threads,
                      &t->fitting.monitor) == NNC_OK);
    nnc_predictor_free(predictor);
    return all;
}

/* Compares with *first, or becomes it. */
static void check_outcome(course *t, char **first)
{
    size_t bytes;
    char *all = outcome(t, &bytes);
    if (*first) {
        CHECK(memcmp(*first, all, bytes) == 0);
        free(all);
    } else {
        *first = all;
    }
}

static void check_threads(course *t)
{
    static const size_t threads[] = {1, 2, 3, 4, 7, 8, 16};
    nnc_cpu cpu = nnc_cpu_info();
    char *first = NULL;
    bool fma_before = false;
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        if (nnc_cpu_info().fma != fma_before) free(first), first = NULL;
        fma_before = nnc_cpu_info().fma;
        bool fastest = !cpu.available[i + 1];
        for (size_t k = 0; k < N_OF(threads); k++) {
            if (!fastest && t->net.n_params > 100000 && k % 2) continue;
            CASE("%s %s params %zu batch %zu optimizer %d threads %zu", cpu.available[i],
                 dtype_name(t->dtype), t->net.n_params, t->fitting.batch, t->stepper.optimizer,
                 threads[k]);
            t->fitting.n_threads = threads[k];
            check_outcome(t, &first);
        }
    }
    free(first);
    nnc_select_isa(NULL);
}

TEST(threads_and_isas_do_not_change_the_bits)
{
    static const struct {
        const size_t *sizes;
        size_t m, batch, epochs;
    } cases[] = {{small, 203, 33, 3},    {small, 203, 1, 2},         {broad, 100, 16, 2},
                 {broad, 333, 100, 2},   {broad, 333, 256, 3},       {broad, 333, 333, 2},
                 {broad, 520, 1000, 2},  {largest_net, 150, 140, 1}, {narrow, 1300, 600, 2},
                 {narrow, 4500, 4300, 2}};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            for (int adam = 0; adam < 2; adam++) {
                course t = make_course((nnc_dtype)dtype, NNC_LOSS_CCE, cases[i].sizes,
                                       NNC_ACT_SOFTMAX, true, cases[i].m, cases[i].epochs);
                t.fitting.batch = cases[i].batch;
                t.shuffled = true;
                if (adam) use_adam(&t);
                check_threads(&t);
                free_course(&t);
            }
        }
    }
}

/* Layers that keep their z, in narrow and wide batches, the output layer too. */
TEST(activations_of_z_have_the_same_bits)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int is_broad = 0; is_broad < 2; is_broad++) {
            course t = make_course((nnc_dtype)dtype, NNC_LOSS_MSE, is_broad ? broad : small,
                                   NNC_ACT_HARD_SWISH, true, 150, 2);
            t.layers[0].activation = NNC_ACT_GELU;
            t.layers[1].activation = NNC_ACT_MISH;
            t.fitting.batch = 110;
            check_threads(&t);
            free_course(&t);
        }
    }
}

/* Element (j, i) of a matrix with samples as rows moves to base + j by_sample + i by_feature. */
static void *spread(nnc_dtype dtype, const void *x, size_t m, size_t n, char *base,
                    ptrdiff_t by_feature, ptrdiff_t by_sample)
{
    size_t item = nnc_dtype_size(dtype);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            ptrdiff_t place = (ptrdiff_t)j * by_sample + (ptrdiff_t)i * by_feature;
            memcpy(base + place * (ptrdiff_t)item, (const char *)x + (j * n + i) * item, item);
        }
    return base;
}

static void check_layouts(nnc_dtype dtype, const size_t *sizes, size_t m)
{
    course t = make_course(dtype, NNC_LOSS_MSE, sizes, NNC_ACT_IDENTITY, true, m, 2);
    size_t item = nnc_dtype_size(dtype), gap = 3, most = (m + gap) * (t.n_in + t.n_out + gap) * gap;
    ptrdiff_t n_in = (ptrdiff_t)t.n_in, n_out = (ptrdiff_t)t.n_out, rows = (ptrdiff_t)m;
    char *first = NULL, *xs = room(dtype, most), *ys = room(dtype, most);
    void *x = t.x, *y = t.y;
    t.shuffled = true;
    const struct {
        ptrdiff_t x_feature, x_sample, y_feature, y_sample;
    } strides[] = {{1, n_in, 1, n_out},         {rows, 1, rows, 1},
                   {1, n_in + 3, 1, n_out + 2}, {3, 3 * n_in, 2, 2 * n_out + 1},
                   {-1, n_in, 1, -n_out},       {1, -n_in - 1, -1, -n_out},
                   {-rows, -1, rows + 1, 1}};
    for (size_t s = 0; s < N_OF(strides); s++) {
        for (size_t offset = 0; offset < 64; offset += s == 0 ? item : 3 * item) {
            nnc_data *d = &t.fitting.data;
            d->x_feature = strides[s].x_feature, d->x_sample = strides[s].x_sample;
            d->y_feature = strides[s].y_feature, d->y_sample = strides[s].y_sample;
            size_t x_start = (d->x_feature < 0 ? (t.n_in - 1) * (size_t)-d->x_feature : 0) +
                             (d->x_sample < 0 ? (m - 1) * (size_t)-d->x_sample : 0);
            size_t y_start = (d->y_feature < 0 ? (t.n_out - 1) * (size_t)-d->y_feature : 0) +
                             (d->y_sample < 0 ? (m - 1) * (size_t)-d->y_sample : 0);
            d->x = spread(dtype, x, m, t.n_in, xs + offset + x_start * item, d->x_feature,
                          d->x_sample);
            d->y = spread(dtype, y, m, t.n_out, ys + 64 - offset + y_start * item, d->y_feature,
                          d->y_sample);
            CASE("%s strides %zu offset %zu m %zu", dtype_name(dtype), s, offset, m);
            check_outcome(&t, &first);
        }
    }
    free(first), free(xs), free(ys);
    free_course(&t);
}

TEST(strides_and_offsets_do_not_change_the_bits)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        check_layouts((nnc_dtype)dtype, small, 77);
        check_layouts((nnc_dtype)dtype, broad, 45);
    }
}

/* Parameters need no alignment but their own. */
TEST(offsets_of_params_do_not_change_the_bits)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        course t = make_course((nnc_dtype)dtype, NNC_LOSS_BCE, small, NNC_ACT_SIGMOID, true, 77, 2);
        size_t item = nnc_dtype_size(t.dtype), bytes = t.net.n_params * item;
        char *place = room(t.dtype, t.net.n_params + 64);
        CHECK(fit(&t) == NNC_OK);
        for (size_t offset = 0; offset < 64; offset += item) {
            CASE("%s offset %zu", dtype_name(t.dtype), offset);
            memcpy(place + offset, t.params, bytes);
            CHECK(nnc_fit(&t.fitting, place + offset, t.cost, t.accuracy, &t.done) == NNC_OK);
            CHECK(memcmp(place + offset, t.trained, bytes) == 0);
        }
        free(place);
        free_course(&t);
    }
}

SUITE()
{
    RUN(threads_and_isas_do_not_change_the_bits);
    RUN(activations_of_z_have_the_same_bits);
    RUN(strides_and_offsets_do_not_change_the_bits);
    RUN(offsets_of_params_do_not_change_the_bits);
}
