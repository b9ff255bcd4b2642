/* test_keepers_ends.c - dropout, layer norm and batch norm: the same bits on any number of threads,
 * on all ISAs with FMA, and resumed; what refuses such layers; and what is left where a training
 * ends early. */
#include "nnc.h"
#include "plain.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* --------------------------------------------------------------------------------- bits */

/* Parameters, running moments, costs and predictions: the first of kernels with FMA decides. */
static void check_bits(course *t, size_t most_threads)
{
    static const size_t threads[] = {1, 2, 3, 4, 5, 6, 7, 8};
    size_t item = nnc_dtype_size(t->dtype), n = block_of(t), outputs = t->m * t->n_out;
    nnc_cpu cpu = nnc_cpu_info();
    char *first = room(t->dtype, n + outputs), *now = room(t->dtype, n + outputs);
    double *cost = zeros(t->epochs);
    bool seen = false;
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        if (!nnc_cpu_info().fma) continue;
        for (size_t k = 0; k < N_OF(threads) && threads[k] <= most_threads; k++) {
            nnc_predictor *predictor;
            CASE("%s %s params %zu batch %zu optimizer %d threads %zu", cpu.available[i],
                 dtype_name(t->dtype), t->net.n_params, t->fitting.batch, t->stepper.optimizer,
                 threads[k]);
            t->fitting.n_threads = threads[k];
            CHECK(fit(t) == NNC_OK && t->done == t->epochs);
            memcpy(now, t->trained, n * item);
            CHECK(make_predictor(t, &predictor) == NNC_OK);
            CHECK(nnc_predict(predictor, t->trained, &t->fitting.data, now + n * item, threads[k],
                              &t->fitting.monitor) == NNC_OK);
            nnc_predictor_free(predictor);
            if (!seen) {
                memcpy(first, now, (n + outputs) * item);
                memcpy(cost, t->cost, t->epochs * sizeof *cost);
            }
            seen = true;
            CHECK(memcmp(first, now, (n + outputs) * item) == 0);
            CHECK(memcmp(cost, t->cost, t->epochs * sizeof *cost) == 0);
        }
    }
    nnc_select_isa(NULL);
    free(first), free(now), free(cost);
}

TEST(threads_and_isas_do_not_change_the_bits)
{
    static const size_t batches[] = {1, 5, 32, 33, 100};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < ORDERS * N_OF(batches); i++) {
            course t = small_course(i % ORDERS, (nnc_dtype)dtype, NNC_ACT_RELU, 103, 2);
            t.fitting.batch = batches[i / ORDERS];
            t.shuffled = true;
            if (i % 2) use_adam(&t);
            check_bits(&t, i / ORDERS == 4 ? 4 : 2);
            free_course(&t);
        }
        for (int coupled = 0; coupled < 2; coupled++) {
            for (int adam = 0; adam < 2; adam++) {
                course t = wide_course((nnc_dtype)dtype, coupled, 300, 2);
                t.fitting.batch = 180;
                t.shuffled = true;
                if (adam) use_adam(&t);
                check_bits(&t, 8);
                free_course(&t);
            }
        }
    }
}

/* One call of four epochs, or four: the stepper counts on, and with it what dropout keeps. */
static void check_resumed(course *t)
{
    void *whole = room(t->dtype, block_of(t));
    t->fitting.batch = 64;
    CHECK(fit(t) == NNC_OK);
    memcpy(whole, t->trained, block_of(t) * nnc_dtype_size(t->dtype));
    t->fitting.epochs = 1;
    CHECK(fit(t) == NNC_OK);
    CHECK(!same(t->dtype, whole, t->trained, block_of(t)));
    for (size_t epoch = 1; epoch < t->epochs; epoch++) CHECK(fit_on(t) == NNC_OK);
    CHECK(same(t->dtype, whole, t->trained, block_of(t)));
    free(whole);
}

TEST(resumed_training_is_the_same)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < 2 * (ORDERS + 2); i++) {
            size_t order = i / 2;
            course t = order < ORDERS
                           ? small_course(order, (nnc_dtype)dtype, NNC_ACT_SIGMOID, 150, 4)
                           : wide_course((nnc_dtype)dtype, order > ORDERS, 150, 4);
            if (i % 2) use_adam(&t);
            CASE("%s order %zu optimizer %d", dtype_name((nnc_dtype)dtype), order,
                 t.stepper.optimizer);
            check_resumed(&t);
            free_course(&t);
        }
    }
}

TEST(the_seed_decides_what_dropout_keeps)
{
    course t = small_course(0, NNC_F64, NNC_ACT_RELU, 50, 1);
    double cost;
    CHECK(fit(&t) == NNC_OK);
    cost = t.cost[0];
    CHECK(fit(&t) == NNC_OK && t.cost[0] == cost);
    t.fitting.seed++;
    CHECK(fit(&t) == NNC_OK && t.cost[0] != cost);
    t.fitting.seed += ((uint64_t)1 << 32) - 1;
    CHECK(fit(&t) == NNC_OK && t.cost[0] != cost);
    free_course(&t);
}

/* ------------------------------------------------------------------------------ refusals */

TEST(the_block_is_laid_out_in_order)
{
    nnc_layer layers[] = {batch_norm(4),   dense(4, 3, NNC_ACT_RELU),
                          dropout(3, 0.5), layer_norm(3),
                          batch_norm(3),   dense(3, 2, NNC_ACT_IDENTITY)};
    nnc_net net;
    CHECK(nnc_net_init(&net, layers, N_OF(layers)) == NNC_OK);
    static const size_t w[] = {0, 8, 23, 23, 29, 35}, b[] = {4, 20, 23, 26, 32, 41};
    for (size_t l = 0; l < N_OF(layers); l++) {
        CASE("layer %zu", l);
        CHECK(layers[l].w == w[l] && layers[l].b == b[l]);
    }
    CHECK(net.n_params == 43 && net.n_state == 14);
    CHECK(layers[0].state == 43 && layers[4].state == 51);
    CHECK(layers[0].has_bias && !layers[2].has_bias && layers[3].has_bias);
}

TEST(bad_layers_are_refused)
{
    nnc_net net;
    nnc_layer good[] = {dropout(2, 0.5), layer_norm(2), batch_norm(2),
                        dense(2, 2, NNC_ACT_IDENTITY)};
    CHECK(nnc_net_init(&net, good, N_OF(good)) == NNC_OK);
    for (size_t n = 1; n < N_OF(good); n++) {
        CASE("%zu layers", n);
        CHECK(nnc_net_init(&net, good, n) == NNC_ERR_LAST);
    }
    static const double bad_rates[] = {-0.1, 1, 2, NAN, INFINITY};
    static const double bad_epsilons[] = {0, -1e-5, NAN, INFINITY};
    static const double bad_momentums[] = {-0.1, 1.1, NAN, INFINITY};
    for (size_t kind = 0; kind < 3; kind++) {
        nnc_layer layers[] = {good[kind], good[3]}, kept = layers[0];
        CASE("kind %d", layers[0].kind);
        layers[0].n_out = layers[1].n_in = 3;
        CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        layers[0] = kept, layers[1] = good[3];
        layers[0].activation = NNC_ACT_RELU;
        CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        layers[0].activation = NNC_ACT_SOFTMAX;
        CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        for (size_t i = 0; kind == 0 && i < N_OF(bad_rates); i++) {
            layers[0] = kept;
            layers[0].rate = bad_rates[i];
            CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        }
        for (size_t i = 0; kind > 0 && i < N_OF(bad_epsilons); i++) {
            layers[0] = kept;
            layers[0].epsilon = bad_epsilons[i];
            CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        }
        for (size_t i = 0; kind == 2 && i < N_OF(bad_momentums); i++) {
            layers[0] = kept;
            layers[0].momentum = bad_momentums[i];
            CHECK(nnc_net_init(&net, layers, 2) == NNC_ERR_LAYER);
        }
        layers[0] = kept;
        CHECK(nnc_net_init(&net, layers, 2) == NNC_OK);
    }
    const size_t most = PTRDIFF_MAX / 8, widths[] = {most / 9 - 1, most / 9 + 1, most / 4, most};
    for (size_t i = 0; i < N_OF(widths); i++) { /* 9 width + 1 elements in all */
        nnc_layer large[] = {batch_norm(widths[i]), batch_norm(widths[i]),
                             dense(widths[i], 1, NNC_ACT_IDENTITY)};
        CASE("width %zu", widths[i]);
        CHECK(nnc_net_init(&net, large, 3) == (i == 0 ? NNC_OK : NNC_ERR_SIZE));
    }
}

TEST(slices_take_dense_layers_only)
{
    for (size_t order = 0; order < ORDERS; order++) {
        course t = small_course(order, NNC_F64, NNC_ACT_SIGMOID, 10, 1);
        t.net.layers = t.layers;
        nnc_training training = {.net = &t.net,
                                 .dtype = t.dtype,
                                 .loss = NNC_LOSS_MSE,
                                 .data = t.fitting.data,
                                 .epochs = 1,
                                 .learning_rate = 0.1,
                                 .n_threads = 1};
        memcpy(t.trained, t.params, block_of(&t) * sizeof(double));
        CHECK(nnc_train(&training, t.trained, t.cost, t.accuracy, &t.done) == NNC_ERR_DENSE);
        CHECK(t.done == 0 && same(NNC_F64, t.trained, t.params, block_of(&t)));
        free_course(&t);
    }
}

/* ------------------------------------------------------------------------------- endings */

/* At the end of epoch `at`, the first input becomes `poison`, or training stops. */
typedef struct {
    course *t;
    size_t at;
    double poison;
    bool stop;
} saboteur;

static nnc_status at_epoch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    saboteur *s = context;
    (void)cost, (void)accuracy, (void)params;
    if (epoch != s->at) return NNC_OK;
    if (s->stop) return NNC_STOPPED;
    set(s->t->dtype, s->t->x, 0, s->poison);
    return NNC_OK;
}

/* What `epochs` epochs leave. */
static void *left_after(course *t, size_t epochs)
{
    void *params = room(t->dtype, block_of(t));
    t->fitting.monitor = (nnc_monitor){0};
    t->fitting.epochs = epochs;
    CHECK(fit(t) == NNC_OK);
    memcpy(params, t->trained, block_of(t) * nnc_dtype_size(t->dtype));
    t->fitting.epochs = t->epochs;
    return params;
}

static void check_endings(course *t)
{
    saboteur s = {.t = t, .at = 2, .poison = NAN};
    t->fitting.batch = 64;
    void *two = left_after(t, 2), *three = left_after(t, 3);
    CASE("%s layers %zu params %zu optimizer %d", dtype_name(t->dtype), t->net.n_layers,
         t->net.n_params, t->stepper.optimizer);
    t->fitting.monitor = (nnc_monitor){.context = &s, .at_epoch = at_epoch, .every = 1};
    s.stop = true;
    CHECK(fit(t) == NNC_STOPPED && t->done == 3);
    CHECK(same(t->dtype, three, t->trained, block_of(t)));
    s.stop = false;
    CHECK(fit(t) == NNC_DIVERGED && t->done == 3);
    CHECK(same(t->dtype, two, t->trained, block_of(t)));
    free(two), free(three);
}

TEST(early_endings_leave_whole_epochs)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < 2 * (ORDERS + 2); i++) {
            size_t order = i / 2;
            course t = order < ORDERS
                           ? small_course(order, (nnc_dtype)dtype, NNC_ACT_SIGMOID, 150, 5)
                           : wide_course((nnc_dtype)dtype, order > ORDERS, 150, 5);
            if (i % 2) use_adam(&t);
            if (order >= ORDERS) t.fitting.n_threads = 3;
            check_endings(&t);
            free_course(&t);
        }
    }
}

/* An infinite running variance counts as diverged, though the cost stays finite. */
TEST(moments_that_overflow_have_diverged)
{
    const nnc_layer layers[] = {batch_norm(2), dense(2, 1, NNC_ACT_IDENTITY)};
    course t = course_of(NNC_F32, NNC_LOSS_MSE, layers, N_OF(layers), 40, 3);
    for (size_t i = 0; i < 80; i++) set(NNC_F32, t.x, i, i % 4 < 2 ? 0x1p100L : -0x1p100L);
    CHECK(fit(&t) == NNC_DIVERGED && t.done == 1 && isfinite(t.cost[0]));
    CHECK(same(NNC_F32, t.params, t.trained, block_of(&t)));
    free_course(&t);
}

static nnc_status stop_now(void *context, size_t epoch, double cost)
{
    (void)epoch, (void)cost;
    *(bool *)context = true;
    return NNC_STOPPED;
}

/* A step that breaks off leaves the running moments too. */
TEST(a_step_that_breaks_off_changes_nothing)
{
    for (size_t threads = 1; threads <= 4; threads++) {
        course t = wide_course(NNC_F64, true, 4000, 1);
        bool stopped = false;
        t.fitting.batch = t.m;
        t.fitting.n_threads = threads;
        t.fitting.monitor = (nnc_monitor){.context = &stopped, .poll = stop_now};
        CASE("%zu threads", threads);
        CHECK(fit(&t) == NNC_STOPPED && stopped && t.done == 0 && t.stepper.steps == 0);
        CHECK(same(NNC_F64, t.params, t.trained, block_of(&t)));
        free_course(&t);
    }
}

SUITE()
{
    RUN(threads_and_isas_do_not_change_the_bits);
    RUN(resumed_training_is_the_same);
    RUN(the_seed_decides_what_dropout_keeps);
    RUN(the_block_is_laid_out_in_order);
    RUN(bad_layers_are_refused);
    RUN(slices_take_dense_layers_only);
    RUN(early_endings_leave_whole_epochs);
    RUN(moments_that_overflow_have_diverged);
    RUN(a_step_that_breaks_off_changes_nothing);
}
