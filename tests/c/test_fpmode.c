/* test_fpmode.c - the caller's floating-point mode neither changes results nor is changed. */
#include "lesson.h"
#include "nnc.h"
#include "reference.h"
#include "test.h"

#if defined(__x86_64__)
enum { N = 37, BYTES = 20000 };

static const struct {
    const char *name;
    unsigned mxcsr;
} modes[] = {
    {"flush to zero, denormals are zero", 0x9fc0},
    {"round up", 0x5f80},
    {"round down", 0x3f80},
    {"round to zero", 0x7f80},
    {"traps for division by zero, overflow, invalid", 0x1900},
};

static unsigned mode_now(void)
{
    return __builtin_ia32_stmxcsr() & ~0x3fu;
}

static unsigned seen_by_monitor;

static nnc_status look(void *context, size_t epoch, double cost, double accuracy,
                       const void *params)
{
    (void)context, (void)epoch, (void)cost, (void)accuracy, (void)params;
    seen_by_monitor = mode_now();
    return NNC_OK;
}

/* out (BYTES) = everything that the verbs make in this mode of some numbers, subnormal ones among
 * them. */
static void compute(nnc_dtype dtype, lesson *t, char *out, unsigned mode)
{
    unsigned standard = __builtin_ia32_stmxcsr();
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
    __builtin_ia32_ldmxcsr(mode);
    nnc_activate(dtype, NNC_ACT_SIGMOID, out, x, N), out += row;
    nnc_activate_backward(dtype, NNC_ACT_SIGMOID, out, x, w, N), out += row;
    CHECK(nnc_forward(dtype, out, w, NULL, x, N, 1, N) == NNC_OK), out += N * row;
    CHECK(nnc_backprop(dtype, out, out + row, out + 2 * row, x, w, x, 3.0, 1, 1, N) == NNC_OK);
    out += 3 * row;
    memcpy(out, w, row), nnc_update(dtype, out, x, 0.1, N), out += row;
    CHECK(nnc_score(dtype, NNC_LOSS_BCE, &cost, &accuracy, sigmoids, y, 1, N) == NNC_OK);
    memcpy(out, &cost, sizeof cost), out += sizeof cost;
    nnc_output_gradient(dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, out, sigmoids, y, N), out += row;
    nnc_rng rng;
    nnc_rng_seed(&rng, 7);
    nnc_init(dtype, out, &rng, 0.1, N), out += row;
    CHECK(train(t) == NNC_OK);
    CHECK(mode_now() == (mode & ~0x3fu));
    __builtin_ia32_ldmxcsr(standard);
    memcpy(out, t->trained, t->net.n_params * item), out += t->net.n_params * item;
    memcpy(out, t->cost, t->epochs * sizeof *t->cost);
    free(x), free(y), free(w), free(sigmoids);
}

TEST(the_mode_changes_nothing_and_stays)
{
    static char expected[BYTES], got[BYTES];
    for (int dtype = 0; dtype < NNC_DTYPE_COUNT; dtype++) {
        lesson t = make_lesson((nnc_dtype)dtype, NNC_LOSS_BCE, NNC_ACT_SIGMOID, true, 1, 700, 5);
        t.training.monitor = (nnc_monitor){.at_epoch = look, .every = 1};
        t.training.n_threads = 2;
        compute((nnc_dtype)dtype, &t, expected, __builtin_ia32_stmxcsr());
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            CASE("%s %s", dtype_name((nnc_dtype)dtype), modes[i].name);
            compute((nnc_dtype)dtype, &t, got, modes[i].mxcsr);
            CHECK(seen_by_monitor == modes[i].mxcsr);
            CHECK(memcmp(got, expected, BYTES) == 0);
        }
        free_lesson(&t);
    }
}

SUITE()
{
    RUN(the_mode_changes_nothing_and_stays);
}
#else
SUITE() {}
#endif
