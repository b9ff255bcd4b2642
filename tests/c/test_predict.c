/* test_predict.c - nnc_predict and nnc_predict_one against plain loops, and against each other. */
#include "course.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static const size_t small[] = {5, 9, 7, 3, 0, 0}, broad[] = {64, 300, 200, 4, 0, 0};
static const size_t one[] = {1, 1, 0, 0}, odd[] = {67, 65, 33, 17, 0, 0};

/* y (m, n_out), in double. */
static double *reference_outputs(const course *t)
{
    double *params = doubles(t->dtype, t->params, t->net.n_params);
    double *x = doubles(t->dtype, t->x, t->n_in * t->m), *a[MOST_LAYERS + 1];
    double *y = calloc(t->n_out * t->m + 1, sizeof *y);
    if (!y) abort();
    for (size_t l = 1; l <= t->net.n_layers; l++)
        if (!(a[l] = calloc(t->layers[l - 1].n_out, sizeof **a))) abort();
    for (size_t j = 0; j < t->m; j++) {
        a[0] = x + j * t->n_in;
        forward_of(t, params, a);
        memcpy(y + j * t->n_out, a[t->net.n_layers], t->n_out * sizeof *y);
    }
    for (size_t l = 1; l <= t->net.n_layers; l++) free(a[l]);
    free(params), free(x);
    return y;
}

static bool close(nnc_dtype dtype, const void *got, const double *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        wide error = fabsl(get(dtype, got, i) - expected[i]);
        if (!(error <= 500 * epsilon(dtype) * fmaxl(1, fabsl(expected[i])))) return false;
    }
    return true;
}

static void check_outputs(nnc_dtype dtype, const size_t *sizes, nnc_activation last, bool bias,
                          size_t m)
{
    nnc_loss loss = nnc_is_softmax(last) ? NNC_LOSS_CCE : NNC_LOSS_MSE;
    course t = make_course(dtype, loss, sizes, last, bias, m, 1);
    size_t item = nnc_dtype_size(dtype), row = t.n_out * item;
    double *expected = reference_outputs(&t);
    char *y = room(dtype, t.n_out * m), *again = room(dtype, t.n_out * m);
    nnc_monitor none = {.every = 0};
    nnc_predictor *predictor;
    CASE("%s %s inputs %zu activation %d bias %d m %zu", nnc_cpu_info().isa, dtype_name(dtype),
         sizes[0], last, bias, m);
    t.fitting.data.y = NULL;
    CHECK(make_predictor(&t, &predictor) == NNC_OK);
    CHECK(nnc_predict(predictor, t.params, &t.fitting.data, y, 1, &none) == NNC_OK);
    CHECK(close(dtype, y, expected, t.n_out * m));

    /* a sample's output does not depend on its company */
    nnc_data data = t.fitting.data;
    for (size_t start = 0, n = 1; start < m; start += n, n = n % 40 + 3) {
        data.m = n < m - start ? n : m - start;
        data.x = (const char *)t.x + start * t.n_in * item;
        CHECK(nnc_predict(predictor, t.params, &data, again + start * row, 2, &none) == NNC_OK);
    }
    CHECK(memcmp(y, again, m * row) == 0);

    memset(again, 0, m * row);
    for (size_t j = 0; j < m; j++)
        nnc_predict_one(predictor, t.params, (const char *)t.x + j * t.n_in * item,
                        again + j * row);
    CHECK(close(dtype, again, expected, t.n_out * m));
    nnc_predictor_free(predictor);
    free(expected), free(y), free(again);
    free_course(&t);
}

static void check_networks(nnc_dtype dtype)
{
    static const size_t sizes[] = {0, 1, 31, 32, 33, 127, 129, 300};
    for (size_t s = 0; s < N_OF(sizes); s++) {
        for (int f = 0; f <= NNC_ACT_LOG_SOFTMAX; f++) {
            check_outputs(dtype, one, (nnc_activation)f, true, sizes[s]);
            check_outputs(dtype, small, (nnc_activation)f, f % 2, sizes[s]);
            check_outputs(dtype, odd, (nnc_activation)f, true, sizes[s]);
        }
        check_outputs(dtype, broad, NNC_ACT_SIGMOID, false, sizes[s]);
    }
}

TEST(outputs)
{
    for_each_isa(check_networks);
}

/* Widths whose panels are whole pages have gaps between them, and so need more room than some that
 * are greater. */
TEST(widths_of_whole_pages)
{
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        for (size_t width = 16; width <= 128; width *= 2) {
            for (size_t more = 1; more <= 17; more += 4) {
                const size_t sizes[] = {width + more, width, width + more, width, 1, 0, 0};
                for (size_t start = 0; start < 2; start++) {
                    check_outputs((nnc_dtype)d, sizes + start, NNC_ACT_IDENTITY, true, 128);
                    check_outputs((nnc_dtype)d, sizes + start, NNC_ACT_IDENTITY, true, 300);
                }
            }
        }
    }
}

static void kept_row(nnc_dtype dtype, const course *t, nnc_predictor *predictor, char *y)
{
    size_t item = nnc_dtype_size(dtype);
    for (size_t j = 0; j < t->m; j++)
        nnc_predict_one(predictor, t->params, (char *)t->x + j * t->n_in * item,
                        y + j * t->n_out * item);
}

TEST(isas_with_fma_agree_on_one_sample)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        nnc_dtype dtype = (nnc_dtype)d;
        course t = make_course(dtype, NNC_LOSS_CCE, odd, NNC_ACT_SOFTMAX, true, 9, 1);
        char *y = room(dtype, t.n_out * t.m), *first = room(dtype, t.n_out * t.m);
        nnc_predictor *predictor;
        CHECK(make_predictor(&t, &predictor) == NNC_OK);
        kept_row(dtype, &t, predictor, first);
        for (size_t i = 0; cpu.available[i]; i++) {
            nnc_select_isa(cpu.available[i]);
            CASE("%s %s", cpu.available[i], dtype_name(dtype));
            kept_row(dtype, &t, predictor, y);
            if (nnc_cpu_info().fma) CHECK(same(dtype, first, y, t.n_out * t.m));
        }
        nnc_select_isa(NULL);
        nnc_predictor_free(predictor);
        free(y), free(first);
        free_course(&t);
    }
}

TEST(softmax_before_the_output_is_refused)
{
    course t = make_course(NNC_F64, NNC_LOSS_CCE, small, NNC_ACT_SOFTMAX, true, 1, 1);
    nnc_predictor *predictor;
    t.layers[0].activation = NNC_ACT_SOFTMAX;
    CHECK(make_predictor(&t, &predictor) == NNC_ERR_SOFTMAX && !predictor);
    nnc_predictor_free(predictor);
    free_course(&t);
}

static nnc_status stop(void *context, size_t epoch, double cost)
{
    (void)epoch, (void)cost;
    ++*(size_t *)context;
    return NNC_ERR_CHAIN;
}

/* poll comes by the clock: enough samples for some tenths of a second. Inputs of stride 0 need no
 * room. */
TEST(poll_stops)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        enum { M = 400000 };
        size_t calls = 0;
        course t = make_course(NNC_F32, NNC_LOSS_MSE, broad, NNC_ACT_IDENTITY, true, 1, 1);
        nnc_monitor monitor = {.context = &calls, .poll = stop};
        nnc_predictor *predictor;
        void *y = room(NNC_F32, t.n_out * M);
        t.fitting.data.m = M;
        t.fitting.data.x_sample = 0;
        CASE("threads %zu", threads);
        CHECK(make_predictor(&t, &predictor) == NNC_OK);
        CHECK(nnc_predict(predictor, t.params, &t.fitting.data, y, threads, &monitor) ==
              NNC_ERR_CHAIN);
        CHECK(calls == 1);
        nnc_predictor_free(predictor);
        free(y);
        free_course(&t);
    }
}

SUITE()
{
    RUN(outputs);
    RUN(widths_of_whole_pages);
    RUN(isas_with_fma_agree_on_one_sample);
    RUN(softmax_before_the_output_is_refused);
    RUN(poll_stops);
}
