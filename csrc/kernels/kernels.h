/* kernels.h - the seam between what is computed and how fast: one table of function pointers per
 * ISA and dtype.
 *
 * Kernels return nothing, allocate nothing and cannot fail; sizes of zero are legal. Elements are
 * floats or doubles, as the table says. Shapes are in elements, row-major.
 *
 * Padded matrices: the matrix kernels (dense_*) take activations as (features, cols) with `ld`
 * elements from row to row, where cols is a whole number of logical vectors. All their matrices
 * of activations share cols and ld.
 *
 * Order of arithmetic, the same in every table:
 *   - products: each output element is one chain acc = fma(w, x, acc) in index order;
 *   - sums over samples: NNC_LINE bytes of samples are one logical vector, each of its lanes sums
 *     on its own; then the upper half of the lanes folds onto the lower, until one is left;
 *   - partial sums of slices: neighbours in pairs, ((0 + 1) + (2 + 3)) + …
 * A table without FMA rounds each product, and so differs in the last bits. */
#ifndef NNC_KERNELS_H
#define NNC_KERNELS_H

#include "nnc.h"

/* The most slices a batch is cut into: a power of two. */
enum { NNC_MAX_SLICES = 8 };

/* The columns of a panel: a matrix "in panels" is cut into blocks of so many columns, and each
 * block lies row by row without gaps. */
enum { NNC_PANEL = 32 };

/* A layer's last inputs, where so few are left beyond whole logical vectors, are not worth vectors
 * of their own: their weights' gradients in panels are summed like a bias. */
enum { NNC_REST = 4 };

/* The largest network and batch that train_tiny takes; and the activations, as in
 * NNC_ACTIVATION_LIST: each stands in its code several times. */
enum { NNC_TINY_INPUTS = 4, NNC_TINY_HIDDEN = 8, NNC_TINY_SAMPLES = 8 };
#define NNC_TINY_ACTIVATION_LIST(X) X(IDENTITY, identity) X(RELU, relu) X(SIGMOID, sigmoid)

/* The numbers of one step; each optimizer reads some. What depends on the count of steps is already
 * in them. */
typedef struct {
    double scale; /* of the gradient: g = scale * sum */
    double rate;  /* of the learning, corrected for the start where the optimizer does so */
    double ahead; /* nadam: the rate of the gradient itself */
    double beta_1, beta_2, epsilon, momentum, rho;
    double correction; /* of a root of mean squares, for the start */
} nnc_step;

/* How the sum of a gradient becomes the one that a step follows. */
typedef struct {
    double scale, l1, l2, most; /* most: the largest absolute value, or infinity */
} nnc_slope;

/* Which elements a dropout layer keeps in a step: those whose random number is at least threshold,
 * 2^32 times the rate, rounded up. scale is what they are multiplied by. */
typedef struct {
    uint64_t seed, step;
    size_t layer;
    uint64_t threshold;
    double scale;
} nnc_dropout;

/* How the samples of two matrices lie: `length` of them side by side in each row, rows ld elements
 * apart, and the next ones at a distance, each matrix's own. cols and length are whole logical
 * vectors. */
typedef struct {
    size_t cols, length, ld;
    size_t dz_panel, x_panel;
    bool more; /* what they sum up to is added to what was there */
} nnc_layout;

static inline nnc_layout nnc_one_panel(size_t cols, size_t ld)
{
    return (nnc_layout){.cols = cols, .length = cols, .ld = ld};
}

typedef struct {
    /* y (n) = f(x); y may be x. */
    void (*map[NNC_FUNCTION_COUNT])(void *y, const void *x, size_t n);

    /* a (n) = f(z); a may be z. */
    void (*activate[NNC_ACT_COUNT])(void *a, const void *z, size_t n);
    /* dz (n) = da * f'(z), f' from x = f(z), or x = z for activations OF_Z; dz may be da or x. */
    void (*activate_backward[NNC_ACT_COUNT])(void *dz, const void *da, const void *x, size_t n);

    /* a (n_out, cols) = f(w x + b): w (n_out, n_in) without gaps, b (n_out) or NULL,
     * x (n_in, cols). a does not overlap x. No kernel's f is of NNC_SOFTMAX_LIST. */
    void (*dense_forward)(void *a, const void *w, const void *b, const void *x, nnc_activation f,
                          size_t n_out, size_t n_in, size_t cols, size_t ld);
    /* dx (n_rows, cols) = (w^T dz) * f'(z), f' from x (n_rows, cols): the layer's input f(z), or z
     * for activations OF_Z; it may be NULL where f is NNC_ACT_IDENTITY. w (n_out, n_rows) with w_ld
     * elements from row to row; dz (n_out, cols). dx may be x, and does not overlap dz. */
    void (*dense_backward)(void *dx, const void *w, const void *dz, const void *x, nnc_activation f,
                           size_t n_rows, size_t n_out, size_t w_ld, size_t cols, size_t ld);
    /* dw (n_out, n_in) = dz x^T, and db (n_out), unless it is NULL, = the rows of dz; sums over
     * samples in logical lanes, of dz (n_out, cols) and x (n_in, cols). Where db is wanted, one
     * more row of x holds ones. */
    void (*dense_weights)(void *dw, void *db, const void *dz, const void *x, size_t n_out,
                          size_t n_in, const nnc_layout *samples);
    /* a (n_out) = f(w x + b) for one sample x (n_in); b may be NULL. Each element is a sum in
     * logical lanes over inputs, folded, then b. */
    void (*dense_row)(void *a, const void *w, const void *b, const void *x, nnc_activation f,
                      size_t n_out, size_t n_in);

    /* What outer leaves: dw (n_out, columns; dw_ld) = dz x^T for at most NNC_REST inputs, and db
     * (n_out) = sums of dz, unless it is NULL; both as outer has it with rate, but summed in
     * logical lanes. dz (n_out, cols) in panels, dz_panel from one to the next; x (NNC_REST, cols)
     * in panels. */
    void (*dense_rest)(void *dw, void *db, const void *dz, const void *x, size_t n_out,
                       size_t columns, size_t cols, size_t dz_panel, size_t dw_ld, double rate);
    /* dw (n_out, n_in; rows dw_ld apart) = dz x, where rate is 0; else dw = fma(-rate, dz x, dw).
     * dz (n_out, n) in panels, dz_panel elements from one to the next; x (n, n_in), its rows
     * NNC_PANEL apart: n_in is at most that, and the rows are readable to their end. */
    void (*outer)(void *dw, const void *dz, const void *x, size_t n_out, size_t n_in, size_t n,
                  size_t dz_panel, size_t dw_ld, double rate);
    /* out (cols, rows; out_ld) = the transpose of x (rows, cols; ld). */
    void (*transpose)(void *out, const void *x, size_t rows, size_t cols, size_t out_ld, size_t ld);
    /* out (NNC_PANEL, NNC_PANEL) = the transpose of x (rows, cols), both with rows NNC_PANEL apart,
     * in whole vectors: out may be written beyond (cols, rows), and x read beyond cols. rows >= 1.
     */
    void (*turn_panel)(void *out, const void *x, size_t rows, size_t cols);
    /* out (features, cols; ld) = the samples index (cols) of x, read through strides counted in
     * elements. cols is a whole number of logical vectors. */
    void (*gather)(void *out, const void *x, const size_t *index, size_t features, size_t cols,
                   ptrdiff_t feature_stride, ptrdiff_t sample_stride, size_t ld);

    /* One panel y (features, cols) = d's choice of x, times scale; the rest is 0. Then, as
     * dense_backward has it, times f'(a), where a may be NULL for NNC_ACT_IDENTITY. y may be x or
     * a. Column j is the batch's sample first + j, but repeats the last of n. An element's random
     * number is word feature % 4 of Philox4x32-10 with the key d->seed and the counter (sample,
     * feature / 4, step mod 2^32, layer 2^16 + step / 2^32): words of 32 bits, the low one of the
     * key first. */
    void (*dropout)(void *y, const void *x, const nnc_dropout *d, const void *a, nnc_activation f,
                    size_t features, size_t first, size_t n, size_t cols);
    /* out (features, cols; ld) = x_hat * gamma + beta, where x_hat = (x - mean) / sqrt(variance +
     * epsilon) of each column; its sums are chains over features. gamma and beta lie in one (2,
     * features). x_hat (features, cols; ld), deviation (cols), which is 1 / sqrt(…): kept unless
     * they are NULL. Any cols. */
    void (*layer_norm)(void *out, void *x_hat, void *deviation, const void *x, const void *gamma,
                       double epsilon, size_t features, size_t cols, size_t ld);
    /* One panel dx (features, cols) = the gradient by the argument of layer_norm, times f'(x), from
     * that by its output, dz. dx may be x, which may be NULL for NNC_ACT_IDENTITY. */
    void (*layer_norm_backward)(void *dx, const void *dz, const void *x_hat, const void *deviation,
                                const void *gamma, const void *x, nnc_activation f, size_t features,
                                size_t cols);
    /* moments (2, features) = mean and variance of the rows of x (features, n), n >= 1, in panels,
     * `panel` elements from one to the next: sums in logical lanes. */
    void (*moments)(void *moments, const void *x, size_t features, size_t n, size_t panel);
    /* As layer_norm, but each row has its mean and variance (moments). */
    void (*batch_norm)(void *out, void *x_hat, const void *x, const void *moments,
                       const void *gamma, double epsilon, size_t features, size_t cols, size_t ld);
    /* As layer_norm_backward, for a panel of n of the batch's samples, with the sums over all of
     * them that norm_sums makes. Columns beyond n become 0. */
    void (*batch_norm_backward)(void *dx, const void *dz, const void *x_hat, const void *moments,
                                const void *gamma, const void *sums, double epsilon, size_t batch,
                                const void *x, nnc_activation f, size_t features, size_t n,
                                size_t cols);
    /* out (2, features) = the gradients by gamma and beta, as outer has it with rate, but summed in
     * logical lanes: the rows of dz times x_hat, and of dz alone, both (features, cols) in panels.
     */
    void (*norm_sums)(void *out, const void *dz, const void *x_hat, size_t features, size_t cols,
                      size_t panel, double rate);
    /* next (n) = share * before + (1 - share) * now. next may be before. */
    void (*blend)(void *next, const void *before, const void *now, double share, size_t n);

    /* One row of n samples: *sum is the loss of y_hat against y; dy (n) its derivative by y_hat,
     * and may be NULL. Both are multiplied by weights (n), unless it is NULL. nnc.h, nnc_score,
     * says what logarithms make of 0 and 1. */
    void (*loss[NNC_LOSS_COUNT])(double *sum, void *dy, const void *y_hat, const void *y,
                                 const void *weights, double parameter, size_t n);
    /* The same for the losses of NNC_LOGIT_LOSS_LIST after sigmoid, from z: *sum, and dz (n) the
     * derivative by z. y_hat (n) = sigmoid(z). dz may be z. */
    void (*loss_from_logits[NNC_LOSS_COUNT])(double *sum, void *dz, void *y_hat, const void *z,
                                             const void *y, const void *weights, double parameter,
                                             size_t n);
    /* z (n_out, cols; ld) = softmax over the rows, and its logarithm. */
    void (*softmax)(void *z, size_t n_out, size_t cols, size_t ld);
    void (*log_softmax)(void *z, size_t n_out, size_t cols, size_t ld);
    /* The same for categorical cross-entropy from logits z (n_out, cols; ld): *sum, and z becomes
     * the derivative by z. hit (cols), unless it is NULL, is 1 where the largest z is in the row of
     * the largest y (n_out, cols; ld), else 0. All are multiplied by weights (cols), unless it is
     * NULL. */
    void (*softmax_loss)(double *sum, void *hit, void *z, const void *y, const void *weights,
                         size_t n_out, size_t cols, size_t ld);
    /* hit (n) *= 1 where the class of y_hat equals y, else 0. */
    void (*match)(void *hit, const void *y_hat, const void *y, size_t n);
    /* hit (n) *= 1 where both y_hat and y exceed the threshold, or neither does, else 0. */
    void (*match_sides)(void *hit, const void *y_hat, const void *y, double threshold, size_t n);
    /* *sum of x (n). */
    void (*sum)(double *sum, const void *x, size_t n);
    /* difference (n) = a - b; difference may be a or b. */
    void (*subtract)(void *difference, const void *a, const void *b, size_t n);
    void (*classify)(void *class_, const void *p, size_t n);
    void (*fill)(void *x, double value, size_t n);

    /* out (n) = sum of n_parts rows of parts (n_parts, stride), in the order of slices; n_parts
     * is a power of two, at most NNC_MAX_SLICES. */
    void (*add_slices)(void *out, const void *parts, size_t n_parts, size_t stride, size_t n);
    /* x (n) /= divisor. */
    void (*divide)(void *x, double divisor, size_t n);
    /* next (n) = fma(-rate, the sum of add_slices, params). */
    void (*descend)(void *next, const void *params, const void *parts, size_t n_parts,
                    size_t stride, double rate, size_t n);
    /* next (n) = params after one step of the optimizer, as NNC_OPTIMIZER_LIST says, along g =
     * scale * grads. The blocks of state are stride elements apart. next may be params. */
    void (*step[NNC_OPTIMIZER_COUNT])(void *next, const void *params, void *state, size_t stride,
                                      const void *grads, const nnc_step *step, size_t n);
    /* grads (n) = scale * grads + l2 * params + l1 * the signs of params, each at most `most` in
     * size. Adds the sum of their squares to *squares, and l1 sum |p| + l2 sum p^2 / 2 to
     * *penalty. */
    void (*regularize)(double *squares, double *penalty, void *grads, const void *params,
                       const nnc_slope *slope, size_t n);
    /* *sum = the sum of squares of x (n), in logical lanes. */
    void (*squares)(double *sum, const void *x, size_t n);
    /* y (n) = factor * x; y may be x. */
    void (*scale)(void *y, const void *x, double factor, size_t n);
    /* average (n) += (1 - decay) * (x - average). */
    void (*average)(void *average, const void *x, double decay, size_t n);
    /* params (n) -= rate * grads, product and difference rounded each. */
    void (*update)(void *params, const void *grads, double rate, size_t n);
    /* *index of the first NaN or infinity in x (n); n where there is none. */
    void (*first_nonfinite)(size_t *index, const void *x, size_t n);

    /* `epochs` steps of the other kernels at once, with their bits: params, laid out as the two
     * layers (of NNC_TINY_ACTIVATION_LIST) say (at most NNC_TINY_INPUTS - NNC_TINY_HIDDEN - 1), are
     * trained in place on x (n_in, m) and y (m), 1 <= m <= NNC_TINY_SAMPLES, which repeat their
     * last sample up to NNC_LINE bytes a row. cost and hits (epochs) get the loss and the right
     * samples of each epoch before its update; hits may be NULL. Where one of them or of params is
     * not finite in the end, all of them are worthless. */
    void (*train_tiny)(void *params, const nnc_layer *layers, nnc_loss loss, const void *x,
                       const void *y, size_t m, size_t ld, double rate, size_t epochs, double *cost,
                       double *hits);
} nnc_kernels;

/* The ISAs, slowest first. X(name): kernels/name.c defines nnc_kernels_f32_name and _f64_name. */
#if defined(__x86_64__)
#define NNC_X86_64 1
#define NNC_AARCH64 0
#define NNC_ISA_LIST(X) X(baseline) X(generic) X(avx2) X(avx512)
#elif defined(__aarch64__)
#define NNC_X86_64 0
#define NNC_AARCH64 1
#define NNC_ISA_LIST(X) X(baseline) X(neon)
#else
#define NNC_X86_64 0
#define NNC_AARCH64 0
#define NNC_ISA_LIST(X) X(baseline)
#endif

#define NNC_DECLARE_TABLES(name) \
    extern const nnc_kernels nnc_kernels_f32_##name, nnc_kernels_f64_##name;
NNC_ISA_LIST(NNC_DECLARE_TABLES)

/* The chosen table for a dtype: core/dispatch.c. */
const nnc_kernels *nnc_kernels_for(nnc_dtype dtype);

#endif
