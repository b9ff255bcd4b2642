/* kernels_bench.c - the dense kernels, one at a time, on one layer.
 *
 *     kernels_bench ISA DTYPE N_OUT N_IN M
 *
 * Prints a line per kernel: its name, ns, GFLOP/s. The matrix kernels work on the first of the
 * slices into which a full-batch training cuts M samples; outer on all M samples, in panels;
 * dense_row on one. To be linked with libnnc.a of `make -C csrc lib`. */
#define _GNU_SOURCE 1 /* clock_gettime under -std=c11 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/plan.h"

enum { REPEATS = 15 };

typedef struct {
    const nnc_kernels *kernels;
    size_t item, n_out, n_in, m, cols, ld;
    void *a, *x, *dx, *w, *b, *dw, *db;
    void *dz_panels; /* (n_out, m) in panels of columns */
    void *x_panels;  /* (m, n_in) in panels of columns */
} layer;

static void forward(const layer *l)
{
    l->kernels->dense_forward(l->a, l->w, l->b, l->x, NNC_ACT_RELU, l->n_out, l->n_in, l->cols,
                              l->ld);
}

static void backward(const layer *l)
{
    l->kernels->dense_backward(l->dx, l->w, l->a, l->x, NNC_ACT_RELU, l->n_in, l->n_out, l->n_in,
                               l->cols, l->ld);
}

static void weights(const layer *l)
{
    const nnc_layout samples = nnc_one_panel(l->cols, l->ld);
    l->kernels->dense_weights(l->dw, l->db, l->a, l->x, l->n_out, l->n_in, &samples);
}

static void outer(const layer *l)
{
    for (size_t i = 0; i < l->n_in; i += NNC_PANEL) {
        size_t some = l->n_in - i < NNC_PANEL ? l->n_in - i : NNC_PANEL;
        l->kernels->outer((char *)l->dw + i * l->item, l->dz_panels,
                          (char *)l->x_panels + i * l->m * l->item, l->n_out, some, l->m,
                          l->n_out * NNC_PANEL, l->n_in, 0);
    }
}

static void one_row(const layer *l)
{
    l->kernels->dense_row(l->a, l->w, l->b, l->x, NNC_ACT_RELU, l->n_out, l->n_in);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The best of several runs of about 5 ms, a call. */
static double time_of(void (*kernel)(const layer *), const layer *l)
{
    double best = 1e9, once = seconds();
    kernel(l);
    once = seconds() - once;
    size_t calls = 1 + (size_t)(5e-3 / (once > 1e-8 ? once : 1e-8));
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = seconds();
        for (size_t i = 0; i < calls; i++) kernel(l);
        double taken = (seconds() - start) / (double)calls;
        if (taken < best) best = taken;
    }
    return best;
}

/* rows of `n` small numbers of both signs. */
static void *matrix(nnc_dtype dtype, size_t rows, size_t n)
{
    size_t item = nnc_dtype_size(dtype), bytes = (rows * n * item / NNC_LINE + 1) * NNC_LINE;
    void *x = aligned_alloc(NNC_LINE, bytes);
    if (!x) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < rows * n; i++) {
        double value = (double)(i * 7919 % 1000) / 5000 - 0.1;
        if (dtype == NNC_F32)
            ((float *)x)[i] = (float)value;
        else
            ((double *)x)[i] = value;
    }
    return x;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: kernels_bench ISA DTYPE N_OUT N_IN M\n");
        return 2;
    }
    nnc_dtype dtype = strcmp(argv[2], "float64") == 0 ? NNC_F64 : NNC_F32;
    nnc_plan plan;
    if (!nnc_select_isa(argv[1])) {
        fprintf(stderr, "this CPU does not run %s\n", argv[1]);
        return 1;
    }
    if (nnc_plan_init(&plan, dtype, strtoull(argv[5], NULL, 10)) != NNC_OK) return 1;
    layer l = {.kernels = plan.kernels,
               .item = plan.item,
               .n_out = strtoull(argv[3], NULL, 10),
               .n_in = strtoull(argv[4], NULL, 10),
               .m = plan.m,
               .cols = plan.slices[0].cols,
               .ld = plan.ld};
    l.a = matrix(dtype, l.n_out, l.ld);
    l.x = matrix(dtype, l.n_in + 1, l.ld);
    l.dx = matrix(dtype, l.n_in, l.ld);
    l.w = matrix(dtype, l.n_out, l.n_in);
    l.b = matrix(dtype, l.n_out, 1);
    l.dw = matrix(dtype, l.n_out, l.n_in);
    l.db = matrix(dtype, l.n_out, 1);
    l.dz_panels = matrix(dtype, l.n_out, nnc_ceil_div(l.m, NNC_PANEL) * NNC_PANEL);
    l.x_panels = matrix(dtype, l.m, nnc_ceil_div(l.n_in, NNC_PANEL) * NNC_PANEL);

    double weight = 2.0 * (double)l.n_out * (double)l.n_in, product = weight * (double)l.cols;
    const struct {
        const char *name;
        void (*kernel)(const layer *);
        double flops;
    } kernels[] = {{"dense_forward", forward, product},
                   {"dense_backward", backward, product},
                   {"dense_weights", weights, product},
                   {"outer", outer, weight * (double)l.m},
                   {"dense_row", one_row, weight}};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        double taken = time_of(kernels[i].kernel, &l);
        printf("%s %.1f %.2f\n", kernels[i].name, taken * 1e9, kernels[i].flops / taken * 1e-9);
    }
    void *all[] = {l.a, l.x, l.dx, l.w, l.b, l.dw, l.db, l.dz_panels, l.x_panels};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return 0;
}
