/* panels.h - a batch in panels: the verbs of one training step, and of a prediction, for batches of
 * any size on networks of any width.
 *
 * The samples of a batch are cut into panels of NNC_PANEL. The activations of a layer lie panel by
 * panel, in each (features, NNC_PANEL); a panel goes through the network without the others. Sums
 * over samples are chains in the order of the samples (dW of many inputs), or in logical lanes (of
 * few, and db), so that no result depends on who computes which panel, or on how many there are.
 * Batch norm couples the samples of a batch: where a network has it, all panels go forward and back
 * together.
 *
 * Layers are treated alike: a[l + 1] is the output of layer l, dz[l + 1] the gradient by the
 * argument of its activation. */
#ifndef NNC_CORE_PANELS_H
#define NNC_CORE_PANELS_H

#include "core/arena.h"
#include "core/loss.h"
#include "core/pacer.h"

/* Multiply-adds in a step above which a batch is wide (some 20 us). */
enum { NNC_WIDE_WORK = 1 << 20 };

/* Where a dense layer's inputs are fewer, a wide batch sums dW in lanes along the samples: turned,
 * they would fill few vectors. */
enum { NNC_FEW_INPUTS = 64 };

/* Of each row of samples, so many bytes are summed up at a time: a tile stays in the first cache.
 */
enum { NNC_LANES_BYTES = 2048 };

/* Some rows of a layer's weights: their gradients are a task for one thread. */
typedef struct {
    size_t layer, row, rows;
} nnc_weight_task;

/* What a layer's matrices come to. */
typedef struct {
    size_t rows_forward, rows_backward, rows_task; /* rows that are worked on at a time */
    size_t strip;                                  /* elements of rows_backward columns of W */
} nnc_layer_plan;

/* What the way back wants of a norm layer, with the elements of kernels.h's verbs. */
typedef struct {
    void *x_hat;          /* (width, samples) in panels */
    void *deviation;      /* layer norm: (samples) */
    void *moments, *sums; /* batch norm: (2, width), of the batch */
} nnc_norm;

typedef struct {
    const nnc_net *net;
    const nnc_kernels *kernels;
    nnc_dtype dtype;
    size_t item, lanes; /* bytes in an element, elements in a logical vector */
    nnc_loss loss;
    double loss_parameter;
    bool weighted, smoothed; /* what the loss reads of the data: see nnc_batch_judge */
    size_t capacity;         /* panels */
    bool wide;     /* steps are long: worth several threads and copies that spare the caches */
    bool coupled;  /* has batch norm, and is laid out to train */
    bool ones;     /* panels have one row more, for weights_by_lanes */
    size_t lowest; /* the first layer with parameters: nothing wants a gradient below it */
    nnc_layer_plan *layers;
    size_t strip; /* the largest of the layers' */
    nnc_weight_task *tasks;
    size_t n_tasks;

    void **a;         /* a[l] (width of l, samples): a[0] the input, a[l] layer l's output */
    void **dz;        /* dz[l] replaces a[l] on the way back, unless weights_by_lanes wants it */
    void **z;         /* z[l], l >= 1: what f' of layer l is written from: a[l] itself, or its
                       * argument in a place of its own, for activations OF_Z in training */
    void **by_sample; /* a[l] with samples as rows, in panels of features; one place for all l
                       * unless the batch is wide, as for rest */
    void **rest;      /* the last rows of a[l], which kernels.h's dense_rest wants */
    void *y;          /* (n_out, samples) */
    void *weights;    /* (samples): of the samples */
    nnc_norm *norms;  /* by layer; NULL where no layer is a norm, or to predict only */
    double *costs, *hits, *sums; /* by panel; sums of weights */
    size_t n;                    /* samples in the batch now */
    uint64_t seed, step;         /* of dropout; how many steps were before */
} nnc_batch;

/* What one thread needs for itself. */
typedef struct {
    void *strip; /* a strip of a weight matrix */
    void *y_hat, *hit;
    nnc_rows rows; /* where outputs are wanted */
    nnc_pacer *pacer;
} nnc_panel_scratch;

/* Lays out a batch of at most `samples` samples of the network, for so many threads to train on;
 * see nnc_arena_piece. Where n_threads is 0, to predict only: activations share two places in turn,
 * and dropout leaves them where they are. */
void nnc_batch_lay_out(nnc_batch *batch, nnc_arena *arena, const nnc_net *net, nnc_dtype dtype,
                       size_t samples, size_t n_threads);
/* What a batch that predicts needs besides to compute losses. */
void nnc_batch_lay_out_labels(nnc_batch *batch, nnc_arena *arena);
void nnc_scratch_lay_out(nnc_panel_scratch *scratch, nnc_arena *arena, const nnc_batch *batch,
                         bool outputs);

/* By what loss the panels of data will be judged. */
void nnc_batch_judge(nnc_batch *batch, nnc_loss loss, double parameter, const nnc_data *data);

size_t nnc_batch_panels(const nnc_batch *batch);

/* Panel p of the inputs (and of labels and weights, where data has them): samples order[start …] of
 * data, or start … where order is NULL. */
void nnc_load_panel(nnc_batch *batch, size_t p, const nnc_data *data, const size_t *order,
                    size_t start);

/* The batch's samples, or, once it is loaded, the sum of their weights. */
double nnc_batch_weight(const nnc_batch *batch);

/* y (samples of panel p, n_out) = the last layer's output. */
void nnc_store_panel(const nnc_batch *batch, size_t p, void *y);
/* The same after panels went forward for the loss, for y (m, n_out): a row for each sample as
 * nnc_load_panel found it. */
void nnc_store_outputs(const nnc_batch *batch, size_t p, nnc_panel_scratch *scratch,
                       const size_t *order, size_t start, void *y);

/* What panels go forward for: their outputs, the loss of these, or a step. The last two leave at
 * the end what nnc_loss_panel wants; a step alone drops out, and norms its batch by its own
 * moments. */
typedef enum { NNC_FOR_OUTPUTS, NNC_FOR_LOSS, NNC_FOR_STEP } nnc_purpose;

/* Panels [first, first + count), or all where the batch is coupled, through the network. Verbs with
 * a pacer return false where it says stop: what they computed is worthless. */
bool nnc_forward_panels(const nnc_batch *batch, size_t first, size_t count, const void *params,
                        nnc_panel_scratch *scratch, nnc_purpose purpose);
/* costs and hits (if wanted) of panel p; the last output becomes its dz. */
void nnc_loss_panel(nnc_batch *batch, size_t p, const nnc_panel_scratch *scratch, bool hits);
/* Back to the lowest layer. Where the batch is not wide, the gradients by the weights are computed
 * on the way: see nnc_weight_gradients for out and rate. */
bool nnc_backward_panels(const nnc_batch *batch, size_t first, size_t count, const void *params,
                         void *out, double rate, nnc_panel_scratch *scratch);
/* After all panels of a wide batch went back. out, laid out as the parameters, gets the sums of
 * gradients over samples; or, where rate is not 0, it holds the parameters, and they become
 * fma(-rate, sum, parameter). */
bool nnc_weight_gradients(const nnc_batch *batch, nnc_weight_task task, void *out, double rate,
                          nnc_panel_scratch *scratch);

/* The running moments of batch norm in next, after the step of a batch, from those in params: the
 * same block or another. Those of layers that the stepper's ranges freeze stay. */
void nnc_move_moments(const nnc_batch *batch, const nnc_stepper *stepper, void *next,
                      const void *params);

#endif
