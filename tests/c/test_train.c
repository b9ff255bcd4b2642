/* test_train.c - nnc_train: its gradients against finite differences, its bits against other
 * numbers of threads and other ISAs, and the ways in which it ends early. */
#include "lesson.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

static wide cost_at(lesson *t, const wide *params)
{
    wide *x = widened(t->dtype, t->x, N_IN * t->m), *y = widened(t->dtype, t->y, t->n_out * t->m);
    wide *y_hat = widened(t->dtype, t->y, t->n_out * t->m);
    predict(&t->net, params, x, y_hat, t->m);
    wide cost = cost_of(t->training.loss, y_hat, y, t->n_out * t->m, t->m);
    free(x), free(y), free(y_hat);
    return cost;
}

/* ------------------------------------------------------------------------------ gradients */

/* One epoch moves the parameters by the learning rate times the gradient of the cost. */
static void check_lesson(lesson t)
{
    nnc_dtype dtype = t.dtype;
    nnc_loss loss = t.training.loss;
    size_t n_out = t.n_out, m = t.m;
    const nnc_layer *last = &t.layers[2];
    t.net.layers = t.layers;                                          /* the lesson has moved */
    if (loss == NNC_LOSS_BCE && last->activation == NNC_ACT_IDENTITY) /* keeps y_hat in (0, 1) */
        for (size_t i = last->w; i < t.net.n_params; i++)
            set(dtype, t.params, i, i < last->b ? get(dtype, t.params, i) / 10 : 0.5L);
    CASE("%s %s loss %d activations %d %d bias %d n_out %zu m %zu", nnc_cpu_info().isa,
         dtype_name(dtype), loss, t.layers[0].activation, last->activation, last->has_bias, n_out,
         m);
    t.training.learning_rate = 0.5;
    CHECK(train(&t) == NNC_OK && t.done == 1);
    wide *params = widened(dtype, t.params, t.net.n_params);
    wide cost = cost_at(&t, params), largest = 0, worst = 0, tolerance = 200 * epsilon(dtype);
    CHECK(fabsl(t.cost[0] - cost) <= tolerance * cost);

    /* ... and nnc_score says the same of what the verbs compute */
    wide *y_wide = widened(dtype, t.y, n_out * m), *y_hat = widened(dtype, t.y, n_out * m);
    wide *x_wide = widened(dtype, t.x, N_IN * m);
    void *p = room(dtype, n_out * m);
    double score, accuracy;
    predict(&t.net, params, x_wide, y_hat, m);
    for (size_t i = 0; i < n_out * m; i++) set(dtype, p, i, y_hat[i]);
    CHECK(nnc_score(dtype, loss, &score, &accuracy, p, t.y, n_out, m) == NNC_OK);
    CHECK(fabsl(score - cost) <= tolerance * cost);
    CHECK(accuracy == t.accuracy[0]);

    const size_t every = SLOW_WIDE ? 7 : 1;
    for (size_t i = 0; i < t.net.n_params; i += every) {
        const wide step = 1e-6L, kept = params[i];
        params[i] = kept + step;
        wide above = cost_at(&t, params);
        params[i] = kept - step;
        wide slope_i = (above - cost_at(&t, params)) / (2 * step);
        params[i] = kept;
        wide moved = (get(dtype, t.params, i) - get(dtype, t.trained, i)) / 0.5L;
        worst = fmaxl(worst, fabsl(moved - slope_i));
        largest = fmaxl(largest, fabsl(slope_i));
    }
    CHECK(worst <= (dtype == NNC_F32 ? 1e-5L : 1e-10L) * fmaxl(largest, 1));
    free(params), free(y_wide), free(y_hat), free(x_wide), free(p);
    free_lesson(&t);
}

static void check_gradient(nnc_dtype dtype, nnc_loss loss, nnc_activation last, bool bias,
                           size_t n_out, size_t m)
{
    check_lesson(make_lesson(dtype, loss, last, bias, n_out, m, 1));
}

/* In all layers; but e^e^z would overflow. */
static void check_activations(nnc_dtype dtype)
{
    static const size_t sizes[] = {7, 301};
    for (int f = 0; f < NNC_ACT_COUNT; f++) {
        for (size_t s = 0; s < 2; s++) {
            nnc_loss loss = s ? NNC_LOSS_MSE : NNC_LOSS_SSE;
            nnc_activation others = f == NNC_ACT_EXPONENTIAL ? NNC_ACT_TANH : (nnc_activation)f;
            lesson t = make_lesson(dtype, loss, others, true, 2, sizes[s], 1);
            t.layers[0].activation = (nnc_activation)f;
            t.layers[1].activation = others;
            check_lesson(t);
        }
    }
}

TEST(gradients_of_every_activation)
{
    for_each_isa(check_activations);
}

static void check_gradients(nnc_dtype dtype)
{
    static const size_t sizes[] = {1, 7, 64, 301};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int bias = 0; bias < 2; bias++) {
            for (size_t n_out = 1; n_out <= 3; n_out += 2) {
                check_gradient(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, bias, n_out, sizes[s]);
                check_gradient(dtype, NNC_LOSS_SSE, NNC_ACT_SIGMOID, bias, n_out, sizes[s]);
                check_gradient(dtype, NNC_LOSS_SSE, NNC_ACT_IDENTITY, bias, n_out, sizes[s]);
            }
        }
        check_gradient(dtype, NNC_LOSS_BCE, NNC_ACT_IDENTITY, true, 1, sizes[s]);
        for (int loss = 0; loss < NNC_LOSS_COUNT; loss++)
            check_gradient(dtype, (nnc_loss)loss, NNC_ACT_SIGMOID, true, 2, sizes[s]);
    }
}

TEST(gradients_are_those_of_the_cost)
{
    for_each_isa(check_gradients);
}

TEST(gradients_of_many_slices)
{
    check_gradient(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 1099);
    check_gradient(NNC_F32, NNC_LOSS_SSE, NNC_ACT_SIGMOID, true, 2, 2101);
}

/* ------------------------------------------------------------------------------- the bits */

static void check_threads(nnc_dtype dtype, nnc_loss loss, size_t m)
{
    enum { EPOCHS = 12 };
    static const size_t threads[] = {1, 2, 3, 4, 7, 8, 100};
    nnc_cpu cpu = nnc_cpu_info();
    lesson t = make_lesson(dtype, loss, NNC_ACT_SIGMOID, true, 2, m, EPOCHS);
    t.training.learning_rate = loss == NNC_LOSS_SSE ? 1e-4 : 0.3;
    void *params = room(dtype, t.net.n_params);
    double history[2][EPOCHS];
    int fma_before = -1; /* ISAs with FMA agree, and the one without agrees with itself */
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        for (size_t k = 0; k < sizeof threads / sizeof *threads; k++) {
            CASE("%s %s m %zu threads %zu", cpu.available[i], dtype_name(dtype), m, threads[k]);
            t.training.n_threads = threads[k];
            CHECK(train(&t) == NNC_OK && t.done == EPOCHS);
            if (fma_before != nnc_cpu_info().fma) {
                fma_before = nnc_cpu_info().fma;
                memcpy(params, t.trained, t.net.n_params * nnc_dtype_size(dtype));
                memcpy(history[0], t.cost, sizeof history[0]);
                memcpy(history[1], t.accuracy, sizeof history[1]);
            }
            CHECK(same(dtype, params, t.trained, t.net.n_params));
            CHECK(memcmp(history[0], t.cost, sizeof history[0]) == 0);
            CHECK(memcmp(history[1], t.accuracy, sizeof history[1]) == 0);
        }
    }
    nnc_select_isa(NULL);
    free(params);
    free_lesson(&t);
}

TEST(threads_and_isas_do_not_change_the_bits)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        check_threads((nnc_dtype)dtype, NNC_LOSS_BCE, 4000);
        check_threads((nnc_dtype)dtype, NNC_LOSS_SSE, 4567);
        check_threads((nnc_dtype)dtype, NNC_LOSS_BCE, 333);
    }
}

/* Samples as rows, or read backwards through pointers to the last: the same numbers. */
TEST(strides_do_not_change_the_bits)
{
    for (int d = 0; d < NNC_DTYPE_COUNT; d++) {
        nnc_dtype dtype = (nnc_dtype)d;
        size_t m = 517, n_out = 2, item = nnc_dtype_size(dtype);
        lesson t = make_lesson(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, n_out, m, 3);
        CASE("%s", dtype_name(dtype));
        CHECK(train(&t) == NNC_OK);
        void *params = room(dtype, t.net.n_params);
        memcpy(params, t.trained, t.net.n_params * item);
        void *x = room(dtype, N_IN * m), *y = room(dtype, n_out * m);
        for (size_t j = 0; j < m; j++) {
            for (size_t i = 0; i < N_IN; i++)
                set(dtype, x, j * N_IN + i, get(dtype, t.x, i * m + j));
            for (size_t i = 0; i < n_out; i++)
                set(dtype, y, (m - 1 - j) * n_out + i, get(dtype, t.y, i * m + j));
        }
        t.training.data.x = x;
        t.training.data.x_feature = 1;
        t.training.data.x_sample = N_IN;
        t.training.data.y = (char *)y + (m - 1) * n_out * item;
        t.training.data.y_feature = 1;
        t.training.data.y_sample = -(ptrdiff_t)n_out;
        CHECK(train(&t) == NNC_OK);
        CHECK(same(dtype, params, t.trained, t.net.n_params));
        free(params), free(x), free(y);
        free_lesson(&t);
    }
}

/* An epoch's result is where the next one starts: two trainings of 4 and 3 are one of 7. */
TEST(trainings_can_be_continued)
{
    lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 130, 7);
    double params[100];
    CHECK(t.net.n_params <= 100 && train(&t) == NNC_OK);
    memcpy(params, t.trained, t.net.n_params * sizeof *params);
    t.training.epochs = 4;
    CHECK(train(&t) == NNC_OK && t.done == 4);
    memcpy(t.params, t.trained, t.net.n_params * sizeof *params);
    t.training.epochs = 3;
    CHECK(train(&t) == NNC_OK && t.done == 3);
    CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
    t.training.epochs = 0;
    CHECK(train(&t) == NNC_OK && t.done == 0);
    CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
    free_lesson(&t);
}

TEST(no_samples_change_nothing)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        lesson t = make_lesson(NNC_F64, (nnc_loss)loss, NNC_ACT_SIGMOID, true, 1, 0, 3);
        CASE("loss %d", loss);
        CHECK(train(&t) == NNC_OK && t.done == 3);
        CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
        CHECK(isnan(t.accuracy[2]) && (loss == NNC_LOSS_SSE || isnan(t.cost[2])));
        free_lesson(&t);
    }
}

/* ------------------------------------------------------------------------- early endings */

/* The parameters are finite, and their cost is the last entry of the history. */
static void check_diverged(lesson *t, nnc_status status)
{
    size_t n = t->net.n_params, done = t->done;
    CHECK(status == NNC_DIVERGED);
    CHECK(nnc_first_nonfinite(t->dtype, t->trained, n) == n);
    if (done == 0) {
        CHECK(same(t->dtype, t->params, t->trained, n));
        return;
    }
    double last = t->cost[done - 1];
    for (size_t i = 0; i < done; i++) CHECK(isfinite(t->cost[i]));
    memcpy(t->params, t->trained, n * nnc_dtype_size(t->dtype));
    t->training.epochs = 1;
    t->training.learning_rate = 0;
    CHECK(train(t) == NNC_OK && t->done == 1);
    CHECK(t->cost[0] == last);
    wide *params = widened(t->dtype, t->params, n);
    wide cost = cost_at(t, params);
    CHECK(fabsl(last - cost) <= 1e4L * epsilon(t->dtype) * cost);
    free(params);
}

static void check_divergence(nnc_dtype dtype)
{
    static const double rates[] = {1e3, 1e20, 1e37, 1e300, INFINITY};
    static const size_t sizes[] = {50, 4001};
    for (size_t s = 0; s < 2; s++) {
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            for (size_t threads = 1; threads <= 3; threads++) {
                lesson t =
                    make_lesson(dtype, NNC_LOSS_SSE, NNC_ACT_IDENTITY, true, 1, sizes[s], 600);
                t.layers[1].activation = NNC_ACT_RELU;
                for (size_t i = 0; i < t.net.n_params; i++) /* no unit starts dead */
                    set(dtype, t.params, i, fabsl(get(dtype, t.params, i)));
                t.training.learning_rate = rates[r];
                t.training.n_threads = threads;
                nnc_status status = train(&t);
                CASE("%s %s m %zu rate %g threads %zu: %zu epochs", nnc_cpu_info().isa,
                     dtype_name(dtype), sizes[s], rates[r], threads, t.done);
                check_diverged(&t, status);
                free_lesson(&t);
            }
        }
    }
    /* the last update overflows: no cost comes after it to tell */
    lesson last = make_lesson(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 20, 1);
    CASE("%s %s last update", nnc_cpu_info().isa, dtype_name(dtype));
    last.training.learning_rate = INFINITY;
    nnc_status status = train(&last);
    CHECK(last.done == 1);
    check_diverged(&last, status);
    free_lesson(&last);

    lesson t = make_lesson(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 20, 5);
    CASE("%s %s NaN in x", nnc_cpu_info().isa, dtype_name(dtype));
    set(dtype, t.x, 11, NAN);
    status = train(&t);
    CHECK(t.done == 0);
    check_diverged(&t, status);
    free_lesson(&t);
}

TEST(divergence_leaves_the_last_recorded_parameters)
{
    for_each_isa(check_divergence);
}

typedef struct {
    lesson *t;
    size_t calls, next, every, stop_at;
    bool consistent;
    double params[100];
} watcher;

static nnc_status watch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    watcher *w = context;
    w->calls++;
    w->consistent &=
        epoch == w->next && cost == w->t->cost[epoch] && accuracy == w->t->accuracy[epoch];
    w->next = epoch + w->every;
    memcpy(w->params, params, w->t->net.n_params * sizeof *w->params);
    return epoch == w->stop_at ? NNC_STOPPED : NNC_OK;
}

TEST(at_epoch_sees_every_nth)
{
    for (size_t every = 1; every <= 5; every++) {
        lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 1500, 21);
        t.training.n_threads = every;
        watcher w = {.t = &t, .every = every, .stop_at = SIZE_MAX, .consistent = true};
        t.training.monitor = (nnc_monitor){.context = &w, .at_epoch = watch, .every = every};
        CASE("every %zu", every);
        CHECK(train(&t) == NNC_OK && t.done == 21);
        CHECK(w.calls == 20 / every + 1);
        CHECK(w.consistent);
        if (20 % every == 0) CHECK(same(NNC_F64, w.params, t.trained, t.net.n_params));
        t.training.monitor.every = 0;
        w.calls = 0;
        CHECK(train(&t) == NNC_OK && w.calls == 0);
        free_lesson(&t);
    }
}

TEST(at_epoch_stops_after_its_update)
{
    for (size_t threads = 1; threads <= 4; threads++) {
        for (size_t stop_at = 0; stop_at < 9; stop_at += 4) {
            lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 4000, 9);
            watcher w = {.t = &t, .every = 1, .stop_at = stop_at, .consistent = true};
            t.training.n_threads = threads;
            t.training.monitor = (nnc_monitor){.context = &w, .at_epoch = watch, .every = 1};
            CASE("threads %zu stop at %zu", threads, stop_at);
            CHECK(train(&t) == NNC_STOPPED && t.done == stop_at + 1);
            CHECK(w.calls == stop_at + 1);
            CHECK(same(NNC_F64, w.params, t.trained, t.net.n_params));
            free_lesson(&t);
        }
    }
}

static nnc_status stop(void *context, size_t epoch, double cost)
{
    (void)cost;
    *(size_t *)context = epoch;
    return NNC_STOPPED;
}

/* poll comes by the clock, maybe amid an epoch, whose work is then thrown away, or while rank 0
 * waits for threads that finish it. */
TEST(poll_stops_at_a_whole_step)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        size_t asked = SIZE_MAX, epochs = (size_t)1 << 20;
        lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 4000, epochs);
        t.training.n_threads = threads;
        t.training.monitor = (nnc_monitor){.context = &asked, .poll = stop};
        CASE("threads %zu", threads);
        CHECK(train(&t) == NNC_STOPPED);
        CHECK(t.done < epochs && t.done - asked <= 1);
        double params[100], last = t.done ? t.cost[t.done - 1] : 0;
        memcpy(params, t.trained, t.net.n_params * sizeof *params);
        t.training.monitor.poll = NULL;
        t.training.epochs = t.done;
        CHECK(train(&t) == NNC_OK);
        CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
        CHECK(t.done == 0 || t.cost[t.done - 1] == last);
        free_lesson(&t);
    }
}

typedef struct {
    bool stopped;
    size_t called_after;
} order;

static nnc_status stop_once(void *context, size_t epoch, double cost)
{
    (void)epoch, (void)cost;
    ((order *)context)->stopped = true;
    return NNC_ERR_EMPTY; /* any status of its own must come out */
}

static nnc_status count_after(void *context, size_t epoch, double cost, double accuracy,
                              void *params)
{
    (void)epoch, (void)cost, (void)accuracy, (void)params;
    order *o = context;
    o->called_after += o->stopped;
    return NNC_OK;
}

/* More threads than cores make rank 0 wait, and poll while it waits. */
TEST(nothing_is_asked_after_poll_said_stop)
{
    for (size_t round = 0; round < 12; round++) {
        size_t epochs = (size_t)1 << 20;
        lesson t = make_lesson(NNC_F64, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 8000, epochs);
        order o = {false, 0};
        t.training.n_threads = 8;
        t.training.monitor =
            (nnc_monitor){.context = &o, .poll = stop_once, .at_epoch = count_after, .every = 1};
        CASE("round %zu", round);
        CHECK(train(&t) == NNC_ERR_EMPTY);
        CHECK(o.called_after == 0);
        free_lesson(&t);
    }
}

SUITE()
{
    RUN(gradients_are_those_of_the_cost);
    RUN(gradients_of_every_activation);
    RUN(gradients_of_many_slices);
    RUN(threads_and_isas_do_not_change_the_bits);
    RUN(strides_do_not_change_the_bits);
    RUN(trainings_can_be_continued);
    RUN(no_samples_change_nothing);
    RUN(divergence_leaves_the_last_recorded_parameters);
    RUN(at_epoch_sees_every_nth);
    RUN(at_epoch_stops_after_its_update);
    RUN(poll_stops_at_a_whole_step);
    RUN(nothing_is_asked_after_poll_said_stop);
}
