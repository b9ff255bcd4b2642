/* test_fpmode.c - the caller's floating-point mode neither changes results nor is changed. */
#include "course.h"
#include "lesson.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

enum { N = 37, BYTES = 20000 };

#if defined(__x86_64__)
typedef unsigned fpmode;

static const struct {
    const char *name;
    fpmode mode;
} modes[] = {
    {"flush to zero, denormals are zero", 0x9fc0},
    {"round up", 0x5f80},
    {"round down", 0x3f80},
    {"round to zero", 0x7f80},
    {"traps for division by zero, overflow, invalid", 0x1900},
};

static fpmode mode_now(void)
{
    return __builtin_ia32_stmxcsr() & ~0x3fu;
}

static void set_mode(fpmode mode)
{
    __builtin_ia32_ldmxcsr(mode);
}
#elif defined(__aarch64__)
typedef uint64_t fpmode;

static const struct {
    const char *name;
    fpmode mode;
} modes[] = {
    {"flush to zero", 1u << 24}, {"default NaN", 1u << 25},   {"round up", 1u << 22},
    {"round down", 2u << 22},    {"round to zero", 3u << 22}, {"all of them", 15u << 22},
}; /* most such CPUs cannot trap */

static fpmode mode_now(void)
{
    fpmode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode)::"memory");
    return mode;
}

static void set_mode(fpmode mode)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(mode) : "memory");
}
#else
#error "how does this CPU spell its floating-point mode?"
#endif

static fpmode seen_by_monitor;

static nnc_status look(void *context, size_t epoch, double cost, double accuracy,
                       const void *params)
{
    (void)context, (void)epoch, (void)cost, (void)accuracy, (void)params;
    seen_by_monitor = mode_now();
    return NNC_OK;
}

/* out (BYTES) = everything that the verbs make in this mode of some numbers, subnormal ones among
 * them. */
static void compute(nnc_dtype dtype, lesson *t, char *out, fpmode mode)
{
    const fpmode standard = mode_now();
    size_t item = nnc_dtype_size(dtype), row = N * item;
    double tiny = dtype == NNC_F32 ? 1e-40 : 1e-310, cost, accuracy;
    char *x = room(dtype, N), *y = room(dtype, N), *w = room(dtype, N);
    scatter(dtype, x, N, -3, 3, 1);
    scatter(dtype, w, N, -1, 1, 2);
    scatter_classes(dtype, y, N, 3);
    for (size_t i = 0; i < N; i += 5) set(dtype, x, i, (wide)tiny * (wide)i);
    char *sigmoids = room(dtype, N);
    nnc_activate(dtype, NNC_ACT_SIGMOID, sigmoids, x, N);
    memset(out, 0, BYTES);
    set_mode(mode);
    nnc_activate(dtype, NNC_ACT_SIGMOID, out, x, N), out += row;
    nnc_activate_backward(dtype, NNC_ACT_SIGMOID, out, x, w, N), out += row;
    CHECK(nnc_forward(dtype, out, w, NULL, x, N, 1, N) == NNC_OK), out += N * row;
    CHECK(nnc_backprop(dtype, out, out + row, out + 2 * row, x, w, x, 3.0, 1, 1, N) == NNC_OK);
    out += 3 * row;
    memcpy(out, w, row), nnc_update(dtype, out, x, 0.1, N), out += row;
    CHECK(nnc_score(dtype, NNC_LOSS_BCE, &cost, &accuracy, sigmoids, y, 1, N) == NNC_OK);
    memcpy(out, &cost, sizeof cost), out += sizeof cost;
    nnc_output_gradient(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, out, sigmoids, NULL, y, N),
        out += row;
    nnc_rng rng;
    nnc_rng_seed(&rng, 7);
    nnc_init(dtype, out, &rng, 0.1, N), out += row;
    CHECK(train(t) == NNC_OK);
    CHECK(mode_now() == mode);
    set_mode(standard);
    memcpy(out, t->trained, t->net.n_params * item), out += t->net.n_params * item;
    memcpy(out, t->cost, t->epochs * sizeof *t->cost);
    free(x), free(y), free(w), free(sigmoids);
}

static void check_modes(nnc_dtype dtype)
{
    static char expected[BYTES], got[BYTES];
    for (size_t threads = 1; threads <= 2; threads++) {
        lesson t = make_lesson(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 4000, 5);
        t.training.monitor = (nnc_monitor){.at_epoch = look, .every = 1};
        t.training.n_threads = threads;
        compute(dtype, &t, expected, mode_now());
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            CASE("%s %s, %zu threads, %s", nnc_cpu_info().isa, dtype_name(dtype), threads,
                 modes[i].name);
            compute(dtype, &t, got, modes[i].mode);
            CHECK(seen_by_monitor == modes[i].mode);
            CHECK(memcmp(got, expected, BYTES) == 0);
        }
        free_lesson(&t);
    }
}

TEST(the_mode_changes_nothing_and_stays)
{
    for_each_isa(check_modes);
}

/* The same of batches and predictions. */
static void check_batches(nnc_dtype dtype)
{
    static const size_t small[] = {4, 6, 2, 0, 0}, broad[] = {64, 300, 200, 2, 0, 0};
    for (int k = 0; k < 4; k++) {
        course t =
            make_course(dtype, NNC_LOSS_CCE, k % 2 ? broad : small, NNC_ACT_SOFTMAX, true, 200, 2);
        size_t item = nnc_dtype_size(dtype), params = t.net.n_params * item, outputs = 400 * item;
        char *expected = room(dtype, t.net.n_params + 402),
             *got = room(dtype, t.net.n_params + 402);
        double tiny = dtype == NNC_F32 ? 1e-40 : 1e-310;
        const fpmode standard = mode_now();
        if (k / 2) use_adam(&t);
        for (size_t i = 0; i < t.n_in * t.m; i += 5) set(dtype, t.x, i, (wide)tiny * (wide)i);
        t.fitting.batch = 150;
        t.fitting.n_threads = 2;
        t.fitting.monitor = (nnc_monitor){.at_epoch = look, .every = 1};
        for (size_t i = 0; i <= sizeof modes / sizeof *modes; i++) {
            const fpmode mode = i == 0 ? standard : modes[i - 1].mode;
            nnc_monitor none = {.every = 0};
            nnc_predictor *predictor;
            CASE("%s %s case %d mode %zu", nnc_cpu_info().isa, dtype_name(dtype), k, i);
            set_mode(mode);
            nnc_status status = fit(&t);
            CHECK(mode_now() == mode && seen_by_monitor == mode);
            CHECK(status == NNC_OK && make_predictor(&t, &predictor) == NNC_OK);
            memcpy(got, t.trained, params);
            status = nnc_predict(predictor, t.trained, &t.fitting.data, got + params, 2, &none);
            nnc_predict_one(predictor, t.trained, t.x, got + params + outputs);
            CHECK(status == NNC_OK && mode_now() == mode);
            set_mode(standard);
            nnc_predictor_free(predictor);
            if (i == 0) memcpy(expected, got, params + outputs + 2 * item);
            CHECK(memcmp(got, expected, params + outputs + 2 * item) == 0);
        }
        free(expected), free(got);
        free_course(&t);
    }
}

TEST(batches_in_any_mode)
{
    for_each_isa(check_batches);
}

SUITE()
{
    RUN(the_mode_changes_nothing_and_stays);
    RUN(batches_in_any_mode);
}
