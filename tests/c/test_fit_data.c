/* test_fit_data.c - what nnc_fit, nnc_evaluate and nnc_predict make of losses, weights, classes,
 * smoothing and types of x: against plain loops, finite differences and each other. */
#include "core/slices.h"
#include "course.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static const size_t small[] = {5, 9, 7, 3, 0, 0}, single[] = {5, 6, 1, 0, 0};
static const size_t broad[] = {70, 300, 200, 4, 0, 0};
static const nnc_monitor none = {.every = 0};

static nnc_activation output_of(nnc_loss loss)
{
    static const nnc_activation outputs[NNC_LOSS_COUNT] = {[NNC_LOSS_BCE] = NNC_ACT_SIGMOID,
                                                           [NNC_LOSS_CCE] = NNC_ACT_SOFTMAX,
                                                           [NNC_LOSS_SSE] = NNC_ACT_SIGMOID,
                                                           [NNC_LOSS_POISSON] = NNC_ACT_SIGMOID,
                                                           [NNC_LOSS_FOCAL] = NNC_ACT_SIGMOID};
    return outputs[loss];
}

static bool is_of_classes(nnc_loss loss)
{
    return loss == NNC_LOSS_BCE || loss == NNC_LOSS_CCE || loss == NNC_LOSS_FOCAL ||
           loss == NNC_LOSS_HINGE;
}

/* A course with all that nnc_data can say of labels. */
typedef struct {
    course t;
    double *weights;
    int64_t *classes;
    void *outputs;
    bool weighted, classed;
} lecture;

static lecture make_lecture(nnc_dtype dtype, nnc_loss loss, const size_t *sizes, size_t m,
                            size_t epochs, bool weighted, bool classed, double smoothing)
{
    lecture l = {.t = make_course(dtype, loss, sizes, output_of(loss), true, m, epochs),
                 .weights = room(NNC_F64, m),
                 .classes = room(NNC_F64, m),
                 .weighted = weighted,
                 .classed = classed};
    nnc_data *data = &l.t.fitting.data;
    l.outputs = room(dtype, m * l.t.n_out);
    scatter(NNC_F64, l.weights, m, 0, 3, m + 9);
    for (size_t j = 0; j < m; j++) {
        if (j < 8 || j % 5 == 0) l.weights[j] = 0; /* some batches have no others */
        l.classes[j] = (int64_t)(j * 7 % 11 % (l.t.n_out == 1 ? 2 : l.t.n_out));
    }
    l.t.fitting.loss_parameter *= 0.75;
    data->smoothing = smoothing;
    data->weights = weighted ? l.weights : NULL;
    data->classes = classed ? l.classes : NULL;
    if (classed) data->y = NULL;
    return l;
}

static void free_lecture(lecture *l)
{
    free_course(&l->t);
    free(l->weights), free(l->classes), free(l->outputs);
}

static bool agrees(nnc_dtype dtype, double got, double expected)
{
    double tolerance = dtype == NNC_F32 ? 3e-5 : 1e-12;
    return fabs(got - expected) <= tolerance * fmax(1, fabs(expected));
}

static bool all_agree(nnc_dtype dtype, const void *got, const double *expected, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!agrees(dtype, (double)get(dtype, got, i), expected[i])) return false;
    return true;
}

static void describe(const lecture *l)
{
    CASE("%s %s %s n_out %zu batch %zu weights %d classes %d smoothing %g", nnc_cpu_info().isa,
         dtype_name(l->t.dtype), nnc_loss_name(l->t.fitting.loss), l->t.n_out, l->t.fitting.batch,
         l->weighted, l->classed, l->t.fitting.data.smoothing);
}

/* nnc_evaluate of t->params, or t->trained. */
static double evaluate(course *t, const void *params, double *accuracy, void *outputs)
{
    double cost;
    nnc_predictor *predictor;
    CHECK(make_predictor(t, &predictor) == NNC_OK);
    CHECK(nnc_evaluate(predictor, params, &t->fitting.data, t->fitting.loss,
                       t->fitting.loss_parameter, &cost, accuracy, outputs, t->fitting.n_threads,
                       &none) == NNC_OK);
    nnc_predictor_free(predictor);
    return cost;
}

/* ------------------------------------------------------------------- against plain loops */

/* Whether a batch of all samples goes in slices. */
static bool in_slices(course *t)
{
    nnc_network_plan network = {.net = &t->net, .loss = t->fitting.loss};
    if (nnc_plan_slices(&network, t->dtype, t->m) != NNC_OK) abort();
    return nnc_goes_by_slices(&network);
}

static void check_lecture(lecture *l)
{
    course *t = &l->t;
    size_t n = t->net.n_params, n_outputs = t->m * t->n_out, epochs = t->epochs;
    double *params = doubles(t->dtype, t->params, n), *average = doubles(t->dtype, t->params, n);
    double *outputs = calloc(n_outputs, sizeof *outputs);
    double *cost = doubles(NNC_F64, t->cost, epochs), accuracy_now;
    double *accuracy = doubles(NNC_F64, t->accuracy, epochs);
    /* smoothed labels that are no classes are near none */
    bool classes = l->classed || is_of_classes(t->fitting.loss) || t->fitting.data.smoothing == 0;
    if (!outputs) abort();
    reference_fit(t, params, average, cost, accuracy, outputs);
    free(average);
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        describe(l);
        t->fitting.outputs = l->outputs;
        CHECK(fit(t) == NNC_OK && t->done == epochs);
        CHECK(all_agree(t->dtype, t->trained, params, n));
        CHECK(all_agree(t->dtype, l->outputs, outputs, n_outputs));
        for (size_t k = 0; k < epochs; k++) {
            CHECK(agrees(t->dtype, t->cost[k], cost[k]));
            if (!classes) continue;
            CHECK(fabs(t->accuracy[k] - accuracy[k]) <= (t->dtype == NNC_F32 ? 1e-6 : 1e-13));
            CHECK(l->weighted || t->accuracy[k] == accuracy[k]);
        }

        /* before the first step: what a first epoch of one batch sees */
        t->fitting.epochs = 1;
        size_t batch = t->fitting.batch;
        bool shuffled = t->shuffled;
        t->fitting.batch = t->m;
        t->shuffled = false;
        CHECK(fit(t) == NNC_OK);
        memset(l->outputs, 0, n_outputs * nnc_dtype_size(t->dtype));
        double now = evaluate(t, t->params, &accuracy_now, l->outputs);
        /* slices are added up in another order than panels */
        CHECK(in_slices(t) ? agrees(t->dtype, now, t->cost[0]) : now == t->cost[0]);
        bool numbers = isnan(accuracy_now);
        CHECK(numbers || accuracy_now == t->accuracy[0] ||
              (in_slices(t) && agrees(t->dtype, accuracy_now, t->accuracy[0])));
        CHECK(numbers == (t->layers[t->net.n_layers - 1].activation == NNC_ACT_IDENTITY &&
                          t->fitting.loss != NNC_LOSS_HINGE));
        CHECK(evaluate(t, t->params, NULL, NULL) == now);
        void *predicted = room(t->dtype, n_outputs);
        nnc_predictor *predictor;
        CHECK(make_predictor(t, &predictor) == NNC_OK);
        CHECK(nnc_predict(predictor, t->params, &t->fitting.data, predicted, 1, &none) == NNC_OK);
        CHECK(same(t->dtype, predicted, l->outputs, n_outputs));
        nnc_predictor_free(predictor);
        free(predicted);
        t->fitting.epochs = epochs, t->fitting.batch = batch, t->shuffled = shuffled;
    }
    nnc_select_isa(NULL);
    free(params), free(outputs), free(cost), free(accuracy);
}

TEST(every_loss_with_weights_classes_smoothing_and_batches)
{
    static const size_t batches[] = {1, 7, 32, 33, 203};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            for (int kind = 0; kind < 8; kind++) {
                for (size_t b = 0; b < N_OF(batches); b++) {
                    for (int one = 0; one < 2 - (loss == NNC_LOSS_CCE); one++) {
                        lecture l =
                            make_lecture((nnc_dtype)dtype, (nnc_loss)loss, one ? single : small,
                                         203, 2, kind & 1, kind & 2, kind & 4 ? 0.3 : 0);
                        l.t.fitting.batch = batches[b];
                        l.t.shuffled = b % 2;
                        if (b == 2) use_adam(&l.t);
                        check_lecture(&l);
                        free_lecture(&l);
                    }
                }
            }
        }
    }
}

/* The same of batches that go in panels whatever their size, for the many inputs of a layer. */
TEST(every_loss_in_panels)
{
    static const size_t sizes[] = {70, 9, 3, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            for (int kind = 0; kind < 8; kind++) {
                lecture l = make_lecture((nnc_dtype)dtype, (nnc_loss)loss, sizes, 203, 2, kind & 1,
                                         kind & 2, kind & 4 ? 0.3 : 0);
                l.t.fitting.batch = kind % 3 ? 203 : 33;
                l.t.shuffled = kind % 2;
                CHECK(!in_slices(&l.t));
                check_lecture(&l);
                free_lecture(&l);
            }
        }
    }
}

/* The same of batches that go in slices. */
TEST(every_loss_in_slices)
{
    static const size_t sizes[] = {20, 40, 30, 3, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            for (int kind = 1; kind < 8; kind *= 2) {
                lecture l = make_lecture((nnc_dtype)dtype, (nnc_loss)loss, sizes, 640, 2, kind & 1,
                                         kind & 2, kind & 4 ? 0.3 : 0);
                l.t.fitting.batch = 600;
                l.t.shuffled = kind != 2;
                if (kind == 1) use_adam(&l.t);
                check_lecture(&l);
                free_lecture(&l);
            }
        }
    }
}

/* Smoothed so far that a class has less than half: with sigmoids, each output is smoothed towards
 * one half, with softmax the largest stays so. */
TEST(strong_smoothing_leaves_the_accuracy)
{
    static const nnc_loss losses[] = {NNC_LOSS_BCE, NNC_LOSS_CCE, NNC_LOSS_FOCAL, NNC_LOSS_MSE};
    for (size_t k = 0; k < N_OF(losses); k++) {
        lecture l = make_lecture(NNC_F64, losses[k], small, 100, 1, false, true, 0);
        double plain, smoothed;
        l.t.layers[l.t.net.n_layers - 1].activation =
            losses[k] == NNC_LOSS_CCE ? NNC_ACT_SOFTMAX : NNC_ACT_SIGMOID;
        evaluate(&l.t, l.t.params, &plain, NULL);
        l.t.fitting.data.smoothing = 0.9;
        evaluate(&l.t, l.t.params, &smoothed, NULL);
        CASE("%s", nnc_loss_name(losses[k]));
        CHECK(plain == smoothed);
        free_lecture(&l);
    }
}

/* A step moves the parameters by the learning rate times the gradient of what nnc_evaluate says. */
TEST(gradients_are_those_of_the_cost)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        for (int kind = 0; kind < 8; kind++) {
            lecture l = make_lecture(NNC_F64, (nnc_loss)loss, small, 61, 1, kind & 1, kind & 2,
                                     kind & 4 ? 0.2 : 0);
            course *t = &l.t;
            double worst = 0, largest_slope = 0;
            t->layers[0].activation = NNC_ACT_SIGMOID; /* no kinks but the loss's */
            t->fitting.batch = 61;
            t->stepper.learning_rate = 0x1p-10;
            describe(&l);
            CHECK(fit(t) == NNC_OK);
            double *params = t->params, *trained = t->trained;
            for (size_t i = 0; i < t->net.n_params; i++) {
                const double step = 0x1p-20, kept = params[i];
                double moved = (kept - trained[i]) / t->stepper.learning_rate;
                params[i] = kept + step;
                double above = evaluate(t, params, NULL, NULL);
                params[i] = kept - step;
                double slope = (above - evaluate(t, params, NULL, NULL)) / (2 * step);
                params[i] = kept;
                worst = fmax(worst, fabs(moved - slope));
                largest_slope = fmax(largest_slope, fabs(slope));
            }
            CHECK(largest_slope > 0 && worst <= 1e-7 * fmax(largest_slope, 0.1));
            free_lecture(&l);
        }
    }
}

/* ------------------------------------------------------------------------ the same bits */

static char *outcome(lecture *l, size_t *bytes)
{
    course *t = &l->t;
    size_t item = nnc_dtype_size(t->dtype), params = t->net.n_params * item;
    size_t history = t->epochs * sizeof(double), outputs = t->m * t->n_out * item;
    *bytes = params + 2 * history + 2 * outputs + 2 * sizeof(double);
    char *all = calloc(*bytes, 1), *end = all;
    if (!all) abort();
    t->fitting.outputs = l->outputs;
    CHECK(fit(t) == NNC_OK && t->done == t->epochs);
    memcpy(end, t->trained, params), end += params;
    memcpy(end, t->cost, history), end += history;
    memcpy(end, t->accuracy, history), end += history;
    memcpy(end, l->outputs, outputs), end += outputs;
    double cost, accuracy;
    cost = evaluate(t, t->trained, &accuracy, l->outputs);
    memcpy(end, l->outputs, outputs), end += outputs;
    memcpy(end, &cost, sizeof cost), memcpy(end + sizeof cost, &accuracy, sizeof accuracy);
    return all;
}

static void check_outcome(lecture *l, char **first)
{
    size_t bytes;
    char *all = outcome(l, &bytes);
    if (*first) CHECK(memcmp(*first, all, bytes) == 0);
    if (*first) free(all);
    if (!*first) *first = all;
}

TEST(threads_and_isas_do_not_change_the_bits)
{
    nnc_cpu cpu = nnc_cpu_info();
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            lecture l = make_lecture((nnc_dtype)dtype, (nnc_loss)loss, broad, 333, 2, true,
                                     loss % 2 == 0, loss % 3 == 0 ? 0 : 0.1);
            uint8_t *bytes = room(NNC_F64, 333 * 70);
            char *first = NULL;
            bool fma_before = false;
            for (size_t i = 0; i < 333 * 70; i++) bytes[i] = (uint8_t)(i * 37 % 251);
            l.t.fitting.data.x = bytes;
            l.t.fitting.data.x_type = NNC_ELEMENT_U8;
            l.t.fitting.data.x_scale = 1.0 / 255;
            l.t.fitting.batch = 128;
            l.t.shuffled = true;
            if (loss % 2) use_adam(&l.t);
            for (size_t i = 0; cpu.available[i]; i++) {
                nnc_select_isa(cpu.available[i]);
                if (nnc_cpu_info().fma != fma_before) free(first), first = NULL;
                fma_before = nnc_cpu_info().fma;
                for (size_t threads = 1; threads <= 8; threads++) {
                    if (cpu.available[i + 1] && threads % 3 != 1) continue;
                    l.t.fitting.n_threads = threads;
                    describe(&l);
                    check_outcome(&l, &first);
                }
            }
            free(first), free(bytes);
            free_lecture(&l);
        }
    }
    nnc_select_isa(NULL);
}

/* Weights of 1 are none, and classes are ones and zeros. */
TEST(two_ways_to_say_the_same)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
            for (int kind = 0; kind < 4; kind++) {
                lecture l =
                    make_lecture((nnc_dtype)dtype, (nnc_loss)loss, kind & 2 ? single : small, 90, 2,
                                 false, true, kind & 1 ? 0.1 : 0);
                nnc_data *data = &l.t.fitting.data;
                char *first = NULL;
                describe(&l);
                check_outcome(&l, &first);
                for (size_t j = 0; j < l.t.m; j++) l.weights[j] = 1;
                data->weights = l.weights;
                check_outcome(&l, &first);
                for (size_t j = 0; j < l.t.m; j++) {
                    for (size_t i = 0; i < l.t.n_out; i++)
                        set(l.t.dtype, l.t.y, j * l.t.n_out + i,
                            l.classes[j] == (int64_t)(l.t.n_out == 1 ? 1 : i));
                }
                data->classes = NULL, data->y = l.t.y;
                check_outcome(&l, &first);
                free(first);
                free_lecture(&l);
            }
        }
    }
}

/* ------------------------------------------------------------------------- types of x */

static const double scales[] = {0, 1.0 / 255, -3.7e-3};

/* x of each type, of all sizes: an identity gives back what was loaded. */
#define DEFINE_TYPE_TEST(suffix, type, name)                                                       \
    static void check_##suffix(nnc_dtype dtype)                                                    \
    {                                                                                              \
        enum { N = 70, M = 41 };                                                                   \
        static const ptrdiff_t strides[][2] = {{1, N}, {M, 1}, {-1, N}, {3, 3 * N}, {1, -N}};      \
        type *block = calloc(9 * N * M, sizeof *block), *x = block + 4 * N * M;                    \
        void *w = room(dtype, N * N), *y = room(dtype, N * M);                                     \
        nnc_layer layer = {.n_in = N, .n_out = N};                                                 \
        nnc_net net;                                                                               \
        nnc_predictor *predictor;                                                                  \
        if (!block || nnc_net_init(&net, &layer, 1) != NNC_OK) abort();                            \
        for (size_t i = 0; i < N; i++) set(dtype, w, i * N + i, 1);                                \
        uint64_t state = 1;                                                                        \
        for (size_t i = 0; i < 9 * N * M; i++) {                                                   \
            state = state * 6364136223846793005u + 1442695040888963407u;                           \
            bool real = (type)0.5 > 0;                                                             \
            block[i] = real ? (type)((double)(state >> 11) * 0x1p-50 - 3)                          \
                            : (type)(state >> (i % 64 / 8 * 8)); /* of all lengths */              \
        }                                                                                          \
        CHECK(nnc_predictor_new(&predictor, &net, dtype) == NNC_OK);                               \
        for (size_t s = 0; s < N_OF(strides); s++) {                                               \
            for (size_t k = 0; k < N_OF(scales); k++) {                                            \
                bool right = true;                                                                 \
                nnc_data data = {.x = x,                                                           \
                                 .x_feature = strides[s][0],                                       \
                                 .x_sample = strides[s][1],                                        \
                                 .m = M,                                                           \
                                 .x_type = NNC_ELEMENT_##suffix,                                   \
                                 .x_scale = scales[k]};                                            \
                CASE("%s %s %s strides %zu scale %g", nnc_cpu_info().isa, dtype_name(dtype), name, \
                     s, scales[k]);                                                                \
                CHECK(nnc_predict(predictor, w, &data, y, 1, &none) == NNC_OK);                    \
                for (ptrdiff_t j = 0; j < M; j++) {                                                \
                    for (ptrdiff_t i = 0; i < N; i++) {                                            \
                        type from = x[i * strides[s][0] + j * strides[s][1]];                      \
                        double product = (double)from * scales[k];                                 \
                        wide exact = scales[k] == 0 ? (wide)from : (wide)product;                  \
                        right &= get(dtype, y, (size_t)(j * N + i)) == rounded(dtype, exact);      \
                    }                                                                              \
                }                                                                                  \
                CHECK(right);                                                                      \
            }                                                                                      \
        }                                                                                          \
        nnc_predictor_free(predictor);                                                             \
        free(block), free(w), free(y);                                                             \
    }

NNC_NUMBER_LIST(DEFINE_TYPE_TEST)

TEST(every_type_of_x)
{
#define CHECK_TYPE(suffix, ...) for_each_isa(check_##suffix);
    NNC_NUMBER_LIST(CHECK_TYPE)
#undef CHECK_TYPE
}

TEST(x_of_another_type_trains_as_its_converted_copy)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int scaled = 0; scaled < 2; scaled++) {
            lecture l = make_lecture((nnc_dtype)dtype, NNC_LOSS_CCE, small, 90, 3, true, true, 0.1);
            course *t = &l.t;
            double scale = scaled ? 0.01 : 0;
            int16_t *x = calloc(t->m * t->n_in, sizeof *x);
            char *first = NULL;
            if (!x) abort();
            for (size_t i = 0; i < t->m * t->n_in; i++) {
                x[i] = (int16_t)(i * 7919 % 201) - 100;
                if (!scaled) x[i] /= 50;
                set(t->dtype, t->x, i, scaled ? (double)x[i] * scale : x[i]);
            }
            t->shuffled = true;
            CASE("%s scale %g", dtype_name(t->dtype), scale);
            check_outcome(&l, &first);
            t->fitting.data.x = x;
            t->fitting.data.x_type = NNC_ELEMENT_I16;
            t->fitting.data.x_scale = scale;
            check_outcome(&l, &first);
            free(first), free(x);
            free_lecture(&l);
        }
    }
}

/* ------------------------------------------------------------------------------ the ends */

TEST(weights_of_sum_zero_and_no_samples)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        lecture l = make_lecture(NNC_F64, (nnc_loss)loss, small, 50, 3, true, true, 0);
        course *t = &l.t;
        double accuracy = 7, cost;
        describe(&l);
        for (size_t j = 0; j < t->m; j++) l.weights[j] = 0;
        CHECK(fit(t) == NNC_OK && t->done == 3 && t->stepper.steps == 6);
        CHECK(same(NNC_F64, t->params, t->trained, t->net.n_params));
        CHECK(isnan(t->accuracy[0]) && (isnan(t->cost[0]) || loss == NNC_LOSS_SSE));
        cost = evaluate(t, t->params, &accuracy, NULL);
        CHECK(isnan(accuracy) && (isnan(cost) || loss == NNC_LOSS_SSE));
        t->fitting.data.m = 0;
        t->fitting.data.weights = NULL;
        cost = evaluate(t, t->params, &accuracy, NULL);
        CHECK(isnan(accuracy) && (isnan(cost) || loss == NNC_LOSS_SSE));
        free_lecture(&l);
    }
}

TEST(softmax_is_checked)
{
    lecture l = make_lecture(NNC_F64, NNC_LOSS_CCE, small, 9, 1, false, false, 0);
    nnc_predictor *predictor;
    double cost = 7, accuracy = 7;
    CHECK(make_predictor(&l.t, &predictor) == NNC_OK);
    CHECK(nnc_evaluate(predictor, l.t.params, &l.t.fitting.data, NNC_LOSS_MSE, 0, &cost, &accuracy,
                       NULL, 1, &none) == NNC_ERR_SOFTMAX);
    CHECK(cost == 7 && accuracy == 7);
    nnc_predictor_free(predictor);
    free_lecture(&l);
}

static nnc_status stop(void *context, size_t epoch, double cost)
{
    (void)epoch, (void)cost;
    ++*(size_t *)context;
    return NNC_ERR_CHAIN;
}

TEST(poll_stops_an_evaluation)
{
    enum { M = 300000 };
    for (size_t threads = 1; threads <= 3; threads++) {
        lecture l = make_lecture(NNC_F32, NNC_LOSS_MAE, broad, 1, 1, false, false, 0);
        nnc_data data = l.t.fitting.data;
        size_t calls = 0;
        nnc_monitor monitor = {.context = &calls, .poll = stop};
        nnc_predictor *predictor;
        double cost, accuracy;
        data.m = M;
        data.x_sample = data.y_sample = 0;
        CASE("threads %zu", threads);
        CHECK(make_predictor(&l.t, &predictor) == NNC_OK);
        CHECK(nnc_evaluate(predictor, l.t.params, &data, NNC_LOSS_MAE, 0, &cost, &accuracy, NULL,
                           threads, &monitor) == NNC_ERR_CHAIN);
        CHECK(calls == 1);
        nnc_predictor_free(predictor);
        free_lecture(&l);
    }
}

SUITE()
{
    RUN(every_loss_with_weights_classes_smoothing_and_batches);
    RUN(every_loss_in_panels);
    RUN(every_loss_in_slices);
    RUN(strong_smoothing_leaves_the_accuracy);
    RUN(gradients_are_those_of_the_cost);
    RUN(threads_and_isas_do_not_change_the_bits);
    RUN(two_ways_to_say_the_same);
    RUN(every_type_of_x);
    RUN(x_of_another_type_trains_as_its_converted_copy);
    RUN(weights_of_sum_zero_and_no_samples);
    RUN(softmax_is_checked);
    RUN(poll_stops_an_evaluation);
}
