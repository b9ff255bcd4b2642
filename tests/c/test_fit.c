/* test_fit.c - nnc_fit: its trajectories against plain loops, and the ways in which it ends. */
#include "course.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* With a way of their own: the others are like adam, see test_optimizers.c. */
static const nnc_optimizer optimizers[] = {NNC_OPTIMIZER_SGD, NNC_OPTIMIZER_ADAM};

static bool agrees(nnc_dtype dtype, double got, double expected)
{
    double tolerance = dtype == NNC_F32 ? 3e-5 : 1e-12;
    return fabs(got - expected) <= tolerance * fmax(1, fabs(expected));
}

/* Compares with the reference on each ISA. */
static void check_course(course *t)
{
    size_t n = t->net.n_params, epochs = t->epochs;
    double *params = doubles(t->dtype, t->params, n), *average = doubles(t->dtype, t->params, n);
    double *cost = doubles(NNC_F64, t->cost, epochs);
    double *accuracy = doubles(NNC_F64, t->accuracy, epochs);
    reference_fit(t, params, average, cost, accuracy, NULL);
    nnc_cpu cpu = nnc_cpu_info();
    for (size_t i = 0; cpu.available[i]; i++) {
        nnc_select_isa(cpu.available[i]);
        CASE("%s %s loss %d activation %d bias %d m %zu batch %zu optimizer %d", cpu.available[i],
             dtype_name(t->dtype), t->fitting.loss, t->layers[t->net.n_layers - 1].activation,
             t->layers[0].has_bias, t->m, t->fitting.batch, t->stepper.optimizer);
        CHECK(fit(t) == NNC_OK && t->done == epochs);
        CHECK(t->stepper.steps == epochs * ((t->m + t->fitting.batch - 1) / t->fitting.batch));
        bool moved = true, seen = true, hits = true;
        for (size_t k = 0; k < n; k++)
            moved &= agrees(t->dtype, (double)get(t->dtype, t->trained, k), params[k]);
        for (size_t k = 0; k < epochs; k++) {
            seen &= agrees(t->dtype, t->cost[k], cost[k]);
            hits &= t->accuracy[k] == accuracy[k];
        }
        CHECK(moved);
        CHECK(seen);
        CHECK(hits);
    }
    nnc_select_isa(NULL);
    free(params), free(average), free(cost), free(accuracy);
}

/* Cross-entropy of an output that no sigmoid keeps in (0, 1): it starts at one half. */
static void start_at_half(course *t)
{
    const nnc_layer *last = &t->layers[t->net.n_layers - 1];
    for (size_t i = last->w; i < t->net.n_params; i++)
        set(t->dtype, t->params, i, i < last->b ? get(t->dtype, t->params, i) / 20 : 0.5L);
    t->stepper.learning_rate = 0.001;
}

static void check_combination(nnc_dtype dtype, nnc_loss loss, nnc_activation last, bool bias)
{
    static const size_t sizes[] = {5, 9, 7, 3, 0, 0};
    static const size_t batches[] = {1, 2, 7, 31, 32, 33, 100, 203, 1000};
    for (size_t b = 0; b < N_OF(batches); b++) {
        for (size_t i = 0; i < N_OF(optimizers); i++) {
            course t = make_course(dtype, loss, sizes, last, bias, 203, 3);
            t.fitting.batch = batches[b];
            t.shuffled = b % 2;
            use_optimizer(&t, optimizers[i]);
            if (loss == NNC_LOSS_BCE && last != NNC_ACT_SIGMOID) start_at_half(&t);
            check_course(&t);
            free_course(&t);
        }
    }
}

TEST(every_loss_activation_batch_and_optimizer)
{
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int bias = 0; bias < 2; bias++) {
            check_combination((nnc_dtype)dtype, NNC_LOSS_CCE, NNC_ACT_SOFTMAX, bias);
            check_combination((nnc_dtype)dtype, NNC_LOSS_CCE, NNC_ACT_LOG_SOFTMAX, bias);
            for (int f = 0; f <= NNC_ACT_SIGMOID; f++) {
                nnc_activation last = (nnc_activation)f;
                check_combination((nnc_dtype)dtype, NNC_LOSS_MSE, last, bias);
                check_combination((nnc_dtype)dtype, NNC_LOSS_SSE, last, bias);
                if (bias || last == NNC_ACT_SIGMOID)
                    check_combination((nnc_dtype)dtype, NNC_LOSS_BCE, last, bias);
            }
        }
    }
}

/* In all layers, of a batch that is not wide and of one that is; but e^e^z would overflow. */
TEST(every_activation)
{
    static const size_t narrow[] = {5, 9, 7, 3, 0, 0}, wide_[] = {40, 150, 130, 3, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (int f = NNC_ACT_SIGMOID + 1; f < NNC_ACT_COUNT; f++) {
            for (int k = 0; k < 4; k++) {
                nnc_activation others = f == NNC_ACT_EXPONENTIAL ? NNC_ACT_TANH : (nnc_activation)f;
                course t = make_course((nnc_dtype)dtype, k % 2 ? NNC_LOSS_MSE : NNC_LOSS_SSE,
                                       k == 3 ? wide_ : narrow, others, k != 1, 103, 2);
                t.layers[0].activation = (nnc_activation)f;
                t.layers[1].activation = others;
                t.fitting.batch = k == 3 ? 90 : 37;
                t.fitting.n_threads = 2;
                t.shuffled = true;
                if (k == 2) use_adam(&t);
                check_course(&t);
                free_course(&t);
            }
        }
    }
}

/* log_softmax trains from the logits as softmax does. */
TEST(log_softmax_trains_as_softmax)
{
    static const size_t sizes[] = {5, 9, 7, 3, 0, 0};
    course a = make_course(NNC_F32, NNC_LOSS_CCE, sizes, NNC_ACT_SOFTMAX, true, 70, 5);
    course b = make_course(NNC_F32, NNC_LOSS_CCE, sizes, NNC_ACT_LOG_SOFTMAX, true, 70, 5);
    CHECK(fit(&a) == NNC_OK && fit(&b) == NNC_OK);
    CHECK(same(NNC_F32, a.trained, b.trained, a.net.n_params));
    CHECK(same(NNC_F64, a.cost, b.cost, 5) && same(NNC_F64, a.accuracy, b.accuracy, 5));
    free_course(&a), free_course(&b);
}

TEST(networks_of_one_layer)
{
    static const size_t sizes[][5] = {{1, 1, 0, 0, 0}, {33, 2, 0, 0, 0}, {64, 40, 0, 0, 0}};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t s = 0; s < N_OF(sizes); s++) {
            course t =
                make_course((nnc_dtype)dtype, NNC_LOSS_BCE, sizes[s], NNC_ACT_SIGMOID, true, 70, 4);
            check_course(&t);
            free_course(&t);
            t = make_course((nnc_dtype)dtype, NNC_LOSS_CCE, sizes[s], NNC_ACT_SOFTMAX, true, 70, 4);
            check_course(&t);
            free_course(&t);
        }
    }
}

/* Wide enough for several blocks of rows, strips of weights and tasks. */
TEST(wide_networks)
{
    static const size_t sizes[] = {40, 600, 1100, 10, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t i = 0; i < N_OF(optimizers); i++) {
            course t =
                make_course((nnc_dtype)dtype, NNC_LOSS_CCE, sizes, NNC_ACT_SOFTMAX, i == 0, 170, 1);
            t.fitting.batch = 136;
            t.fitting.n_threads = 2;
            t.shuffled = true;
            use_optimizer(&t, optimizers[i]);
            check_course(&t);
            free_course(&t);
        }
    }
}

static const size_t small[] = {5, 9, 7, 2, 0, 0}, broad[] = {64, 300, 200, 4, 0, 0};

/* Batches that go in slices: two of one block, several of two blocks. The last batch of an epoch
 * has fewer slices, or longer blocks. */
TEST(batches_in_slices)
{
    static const size_t sizes[] = {20, 40, 30, 3, 0, 0};
    static const size_t batches[][2] = {{640, 512}, {1100, 1000}, {1500, 1023}, {4500, 4200}};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        for (size_t k = 0; k < N_OF(batches); k++) {
            for (size_t i = 0; i < N_OF(optimizers); i++) {
                course t = make_course((nnc_dtype)dtype, NNC_LOSS_CCE, sizes, NNC_ACT_SOFTMAX,
                                       k % 2 == 0, batches[k][0], 2);
                t.layers[1].activation = NNC_ACT_GELU;
                t.fitting.batch = batches[k][1];
                t.fitting.n_threads = 1 + k % 3;
                t.shuffled = k > 0;
                use_optimizer(&t, optimizers[i]);
                check_course(&t);
                free_course(&t);
            }
        }
    }
}

/* An epoch's result is where the next one starts: the state of optimizers and random numbers too.
 */
TEST(courses_can_be_continued)
{
    for (int optimizer = 0; optimizer < NNC_OPTIMIZER_COUNT; optimizer++) {
        course t = make_course(NNC_F64, NNC_LOSS_MSE, small, NNC_ACT_IDENTITY, true, 130, 7);
        void *params = room(NNC_F64, t.net.n_params);
        use_optimizer(&t, (nnc_optimizer)optimizer);
        CASE("optimizer %d", optimizer);
        CHECK(fit(&t) == NNC_OK && t.done == 7);
        memcpy(params, t.trained, t.net.n_params * sizeof(double));
        t.fitting.epochs = 4;
        CHECK(fit(&t) == NNC_OK && t.done == 4);
        t.fitting.epochs = 3;
        CHECK(fit_on(&t) == NNC_OK && t.done == 3);
        CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
        t.fitting.epochs = 0;
        CHECK(fit_on(&t) == NNC_OK && t.done == 0);
        CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
        CHECK(t.stepper.steps == 7 * 5);
        free(params);
        free_course(&t);
    }
}

/* Also where one kernel does whole epochs. */
TEST(tiny_courses_can_be_continued)
{
    static const size_t sizes[] = {3, 4, 1, 0, 0};
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        course t =
            make_course((nnc_dtype)dtype, NNC_LOSS_BCE, sizes, NNC_ACT_SIGMOID, true, 4, 1100);
        size_t n = t.net.n_params, epochs = 0;
        void *params = room(t.dtype, n), *before = room(t.dtype, n);
        double *cost = room(NNC_F64, 1100);
        CASE("%s", dtype_name(t.dtype));
        CHECK(fit(&t) == NNC_OK && t.done == 1100 && t.stepper.steps == 1100);
        memcpy(params, t.trained, n * nnc_dtype_size(t.dtype));
        memcpy(cost, t.cost, 1100 * sizeof *cost);
        t.fitting.epochs = 0;
        t.fitting.before = before;
        CHECK(fit(&t) == NNC_OK);
        for (size_t part = 1; epochs < 1100; epochs += t.done, part *= 3) {
            t.fitting.epochs = part < 1100 - epochs ? part : 1100 - epochs;
            CHECK(fit_on(&t) == NNC_OK && t.done == t.fitting.epochs);
            CHECK(same(NNC_F64, t.cost, cost + epochs, t.done));
        }
        CHECK(same(t.dtype, params, t.trained, n) && t.stepper.steps == 1100);
        t.fitting.epochs = 1099;
        t.fitting.before = NULL;
        CHECK(fit(&t) == NNC_OK && same(t.dtype, before, t.trained, n));
        free(params), free(before), free(cost);
        free_course(&t);
    }
}

TEST(no_samples_change_nothing)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        nnc_activation last = loss == NNC_LOSS_CCE ? NNC_ACT_SOFTMAX : NNC_ACT_SIGMOID;
        course t = make_course(NNC_F64, (nnc_loss)loss, small, last, true, 0, 3);
        t.shuffled = true;
        CASE("loss %d", loss);
        CHECK(fit(&t) == NNC_OK && t.done == 3 && t.stepper.steps == 0);
        CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
        CHECK(isnan(t.accuracy[2]) && (loss == NNC_LOSS_SSE || isnan(t.cost[2])));
        free_course(&t);
    }
}

TEST(softmax_stands_only_where_it_may)
{
    for (int loss = 0; loss < NNC_LOSS_COUNT; loss++) {
        for (int hidden = 0; hidden < 2; hidden++) {
            for (int last = 0; last <= NNC_ACT_COUNT; last++) {
                bool softmax = last == NNC_ACT_SOFTMAX, cce = loss == NNC_LOSS_CCE;
                course t =
                    make_course(NNC_F64, (nnc_loss)loss, small, (nnc_activation)last, true, 5, 2);
                if (hidden) t.layers[1].activation = NNC_ACT_SOFTMAX;
                t.stepper.learning_rate = 1e-9;
                CASE("loss %d hidden %d last %d", loss, hidden, last);
                CHECK((fit(&t) == NNC_ERR_SOFTMAX) == (hidden || softmax != cce));
                if (hidden) CHECK(same(NNC_F64, t.params, t.trained, t.net.n_params));
                free_course(&t);
            }
        }
    }
}

/* ------------------------------------------------------------------------- early endings */

/* The parameters are those of the start of the last entry's epoch: as many epochs fewer lead there,
 * on to the next epoch. */
static void check_diverged(course *t, nnc_status status)
{
    size_t n = t->net.n_params, done = t->done;
    CHECK(status == NNC_DIVERGED);
    CHECK(nnc_first_nonfinite(t->dtype, t->trained, n) == n);
    void *params = room(t->dtype, n);
    memcpy(params, t->trained, n * nnc_dtype_size(t->dtype));
    t->fitting.epochs = done ? done - 1 : 0;
    CHECK(fit(t) == NNC_OK && t->done == t->fitting.epochs);
    CHECK(same(t->dtype, params, t->trained, n));
    for (size_t i = 0; i < t->done; i++) CHECK(isfinite(t->cost[i]));
    free(params);
}

static void check_divergence(nnc_dtype dtype)
{
    static const double rates[] = {1, 1e3, 1e20, 1e37, 1e300, INFINITY};
    static const size_t batches[] = {7, 50, 400};
    for (size_t r = 0; r < N_OF(rates); r++) {
        for (size_t b = 0; b < N_OF(batches); b++) {
            bool wide_one = b == 2;
            if (wide_one && rates[r] == 1) continue; /* too slow to see its end */
            course t = make_course(dtype, NNC_LOSS_SSE, wide_one ? broad : small, NNC_ACT_IDENTITY,
                                   true, wide_one ? 130 : 50, wide_one ? 40 : 600);
            t.layers[1].activation = NNC_ACT_RELU;
            for (size_t i = 0; i < t.net.n_params; i++) /* no unit starts dead */
                set(dtype, t.params, i, fabsl(get(dtype, t.params, i)));
            t.stepper.learning_rate = rates[r];
            t.fitting.batch = batches[b];
            t.fitting.n_threads = 1 + b;
            t.shuffled = b % 2;
            nnc_status status = fit(&t);
            CASE("%s %s rate %g batch %zu: %zu epochs", nnc_cpu_info().isa, dtype_name(dtype),
                 rates[r], batches[b], t.done);
            check_diverged(&t, status);
            free_course(&t);
        }
    }
    course t = make_course(dtype, NNC_LOSS_BCE, small, NNC_ACT_SIGMOID, true, 50, 5);
    CASE("%s %s NaN in x", nnc_cpu_info().isa, dtype_name(dtype));
    set(dtype, t.x, 11, NAN);
    nnc_status status = fit(&t);
    CHECK(t.done == 0);
    check_diverged(&t, status);
    free_course(&t);
}

TEST(divergence_leaves_the_start_of_the_last_good_epoch)
{
    for_each_isa(check_divergence);
}

typedef struct {
    course *t;
    size_t calls, next, every, stop_at;
    bool consistent;
    void *params;
} watcher;

static nnc_status watch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    watcher *w = context;
    w->calls++;
    w->consistent &=
        epoch == w->next && cost == w->t->cost[epoch] && accuracy == w->t->accuracy[epoch];
    w->next = epoch + w->every;
    memcpy(w->params, params, w->t->net.n_params * sizeof(double));
    return epoch == w->stop_at ? NNC_STOPPED : NNC_OK;
}

TEST(at_epoch_sees_every_nth_and_stops_after_its_steps)
{
    for (size_t every = 1; every <= 4; every++) {
        for (size_t stop_at = 4; stop_at <= 12; stop_at += 8) {
            bool wide_one = every == 4;
            course t = make_course(NNC_F64, NNC_LOSS_BCE, wide_one ? broad : small, NNC_ACT_SIGMOID,
                                   true, 90, 9);
            watcher w = {&t, 0, 0, every, stop_at, true, room(NNC_F64, t.net.n_params)};
            t.fitting.n_threads = every;
            t.fitting.monitor = (nnc_monitor){.context = &w, .at_epoch = watch, .every = every};
            CASE("every %zu stop at %zu", every, stop_at);
            bool stops = stop_at % every == 0 && stop_at < 9;
            size_t epochs = stops ? stop_at + 1 : 9, last = (epochs - 1) / every * every;
            CHECK(fit(&t) == (stops ? NNC_STOPPED : NNC_OK) && t.done == epochs);
            CHECK(w.calls == (epochs - 1) / every + 1);
            CHECK(w.consistent);
            t.fitting.monitor.every = 0;
            t.fitting.epochs = last + 1;
            w.calls = 0;
            CHECK(fit(&t) == NNC_OK && w.calls == 0);
            CHECK(same(NNC_F64, w.params, t.trained, t.net.n_params));
            free(w.params);
            free_course(&t);
        }
    }
}

TEST(without_accuracy)
{
    course t = make_course(NNC_F64, NNC_LOSS_BCE, small, NNC_ACT_SIGMOID, true, 90, 3);
    void *params = room(NNC_F64, t.net.n_params);
    CHECK(fit(&t) == NNC_OK);
    memcpy(params, t.trained, t.net.n_params * sizeof(double));
    memcpy(t.trained, t.params, t.net.n_params * sizeof(double));
    CHECK(nnc_fit(&t.fitting, t.trained, t.cost, NULL, &t.done) == NNC_OK && t.done == 3);
    CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
    free(params);
    free_course(&t);
}

typedef struct {
    size_t calls_before_stop, called_after;
    bool stopped;
} stopper;

static nnc_status stop(void *context, size_t epoch, double cost)
{
    stopper *s = context;
    (void)epoch, (void)cost;
    s->called_after += s->stopped;
    s->stopped = s->calls_before_stop-- == 0;
    return s->stopped ? NNC_ERR_EMPTY : NNC_OK; /* any status of its own must come out */
}

static nnc_status count_after(void *context, size_t epoch, double cost, double accuracy,
                              void *params)
{
    (void)epoch, (void)cost, (void)accuracy, (void)params;
    ((stopper *)context)->called_after += ((stopper *)context)->stopped;
    return NNC_OK;
}

/* poll comes by the clock, maybe amid a step. Whole epochs, and one of the steps that are left,
 * lead to the same parameters. */
static void check_poll(const size_t *sizes, nnc_optimizer optimizer, size_t batch, size_t threads)
{
    size_t epochs = (size_t)1 << 20, m = 8 * batch + batch / 2;
    course t = make_course(NNC_F64, NNC_LOSS_BCE, sizes, NNC_ACT_SIGMOID, true, m, epochs);
    stopper s = {.calls_before_stop = batch % 2};
    void *params = room(NNC_F64, t.net.n_params), *state = room(NNC_F64, 2 * t.net.n_params);
    use_optimizer(&t, optimizer);
    t.stepper.learning_rate = 1e-3;
    t.fitting.batch = batch;
    t.fitting.n_threads = threads;
    t.fitting.monitor =
        (nnc_monitor){.context = &s, .poll = stop, .at_epoch = count_after, .every = 1};
    CASE("width %zu optimizer %d batch %zu threads %zu", sizes[1], optimizer, batch, threads);
    CHECK(fit(&t) == NNC_ERR_EMPTY && t.done < epochs);
    CHECK(s.called_after == 0);
    size_t steps = t.stepper.steps, done = t.done;
    CHECK(done == steps / 9);
    memcpy(params, t.trained, t.net.n_params * sizeof(double));
    memcpy(state, t.state, 2 * t.net.n_params * sizeof(double));
    t.fitting.monitor = (nnc_monitor){.every = 0};
    t.fitting.epochs = done;
    CHECK(fit(&t) == NNC_OK);
    t.fitting.epochs = 1;
    t.fitting.data.m = steps % 9 * batch;
    CHECK(fit_on(&t) == NNC_OK && t.stepper.steps == steps);
    CHECK(same(NNC_F64, params, t.trained, t.net.n_params));
    CHECK(same(NNC_F64, state, t.state, 2 * t.net.n_params));
    free(params), free(state);
    free_course(&t);
}

TEST(poll_stops_between_whole_steps)
{
    static const size_t narrow[] = {48, 40, 40, 2, 0, 0};
    for (size_t round = 0; round < 8; round++) {
        check_poll(narrow, NNC_OPTIMIZER_SGD, 100 + round, 1);
        check_poll(narrow, NNC_OPTIMIZER_ADAM, 100 + round, 1);
        check_poll(broad, NNC_OPTIMIZER_SGD, 40 + round, 1 + round % 3);
        check_poll(broad, NNC_OPTIMIZER_ADAM, 40 + round, 1 + round % 8);
    }
}

SUITE()
{
    RUN(every_loss_activation_batch_and_optimizer);
    RUN(every_activation);
    RUN(log_softmax_trains_as_softmax);
    RUN(networks_of_one_layer);
    RUN(wide_networks);
    RUN(batches_in_slices);
    RUN(courses_can_be_continued);
    RUN(tiny_courses_can_be_continued);
    RUN(no_samples_change_nothing);
    RUN(softmax_stands_only_where_it_may);
    RUN(divergence_leaves_the_start_of_the_last_good_epoch);
    RUN(at_epoch_sees_every_nth_and_stops_after_its_steps);
    RUN(without_accuracy);
    RUN(poll_stops_between_whole_steps);
}
