/* nnc.h - the public interface of the core: what is computed, on plain C buffers.
 *
 * The core knows nothing of Python. It allocates only work space, never prints and never exits;
 * every verb that can fail returns an nnc_status. Buffers are `void *` to elements of one
 * nnc_dtype. Matrices are row-major; activations hold one sample per column:
 *
 *     A_prev (n_in, m)   W (n_out, n_in)   b (n_out)   Z, A (n_out, m)
 *
 * Every sum over samples has one fixed order, a function of m and the dtype alone
 * (core/plan.h), so results do not depend on threads, alignment or the ISA (given FMA).
 */
#ifndef NNC_H
#define NNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vocabulary.h"

const char *nnc_status_text(nnc_status status);
const char *nnc_activation_name(nnc_activation activation);
/* Whether it is one of NNC_SOFTMAX_LIST. */
bool nnc_is_softmax(nnc_activation activation);
/* Whether its derivative is written from z: OF_Z. */
bool nnc_is_of_z(nnc_activation activation);
const char *nnc_loss_name(nnc_loss loss);
/* The usual value of the loss's parameter; 0 where it has none. */
double nnc_loss_parameter(nnc_loss loss);
const char *nnc_optimizer_name(nnc_optimizer optimizer);
size_t nnc_optimizer_state(nnc_optimizer optimizer);
const char *nnc_function_name(nnc_function function);
size_t nnc_dtype_size(nnc_dtype dtype);

/* --------------------------------------------------------------------------- the network */

typedef enum { NNC_DENSE, NNC_DROPOUT, NNC_LAYER_NORM, NNC_BATCH_NORM } nnc_layer_kind;

/* A dense layer, or one that leaves the width as it is (n_in = n_out, no activation):
 *
 *   dropout      while training each element is 0 with probability `rate`, or else divided by
 *                1 - rate
 *   layer norm   each sample's features: (x - mean) / sqrt(variance + epsilon) * gamma + beta
 *   batch norm   each feature over the samples of a batch, likewise; for predictions by the
 *                running mean and variance, which each step moves to momentum * old +
 *                (1 - momentum) * the batch's */
typedef struct {
    size_t n_in, n_out;
    nnc_activation activation;
    bool has_bias;
    nnc_layer_kind kind;
    double rate, epsilon, momentum;
    size_t w, b;  /* offsets of W and b, or gamma and beta, in the parameter block; set by */
    size_t state; /* nnc_net_init, as that of the running mean and variance behind n_params */
} nnc_layer;

/* The parameters of a network lie in one block: W1, b1, W2, b2, … (n_params), which training
 * follows the gradients of; then what it only keeps up to date (n_state). */
typedef struct {
    nnc_layer *layers; /* borrowed */
    size_t n_layers;
    size_t n_params, n_state;
} nnc_net;

/* NNC_ERR_SOFTMAX unless softmax or log_softmax stands only where it may: at the output, with
 * categorical_cross_entropy, which needs one of them. */
nnc_status nnc_check_softmax(const nnc_net *net, nnc_loss loss);

/* Checks the layers, of which the last must be dense, and fills their offsets; norm layers always
 * have gamma and beta. NNC_ERR_EMPTY, _CHAIN, _LAYER, _LAST or _SIZE. */
nnc_status nnc_net_init(nnc_net *net, nnc_layer *layers, size_t n_layers);

/* Whether so much memory is to be had: systems that overcommit grant any, and kill who uses it. */
bool nnc_memory_fits(size_t bytes);

/* n elements on a cache line, all 0; NULL where the memory is not to be had. */
void *nnc_new_block(nnc_dtype dtype, size_t n);
void nnc_free_block(void *block);

/* ----------------------------------------------------------------------------------- ISA */

typedef struct {
    const char *isa;          /* the kernels in use: an entry of `available` */
    const char *available[8]; /* runnable on this CPU, slowest first; ends with NULL */
    bool fma;                 /* the kernels in use fuse multiply and add */
    size_t vector_bytes;
} nnc_cpu;

/* Chooses the kernels: `name`, or the fastest this CPU runs where name is NULL or "".
 * "generic" means "baseline" on a CPU without FMA, and "neon" on aarch64. False, with nothing
 * changed, where the name is unknown or the CPU lacks the instructions. */
bool nnc_select_isa(const char *name);
nnc_cpu nnc_cpu_info(void);

/* ------------------------------------------------------------------------------- threads */

/* The most threads that a call uses, its own included, whatever it is asked. */
enum { NNC_MAX_THREADS = 1024 };

/* Visible outside of a shared library, for tools that know their names: threadpoolctl. */
#define NNC_EXPORT __attribute__((visibility("default")))

/* How many threads a call should use where its caller doesn't say: what nnc_set_num_threads set;
 * else the environment's NNC_NUM_THREADS, or else its OMP_NUM_THREADS, as they are now; else the
 * number of CPUs that this thread may use, by its affinity and by the quota of the process's
 * control groups. 0 where NNC_NUM_THREADS is not a number from 1 to NNC_MAX_THREADS. */
NNC_EXPORT int nnc_get_num_threads(void);
/* More than NNC_MAX_THREADS means that; 0 or less leaves it to the environment again. */
NNC_EXPORT void nnc_set_num_threads(int n);

/* Ends the threads that wait for the next call; it will start new ones. False, with nothing done,
 * where a call is using them. */
bool nnc_shutdown_threads(void);

/* -------------------------------------------------------------------------------- random */

/* The Mersenne Twister behind numpy.random.RandomState, with its cached second normal. */
typedef struct {
    uint32_t state[624];
    int position;
    bool has_gauss;
    double gauss;
} nnc_rng;

void nnc_rng_seed(nnc_rng *rng, uint32_t seed);
/* n >= 1 words, as numpy.random.seed takes an array. */
void nnc_rng_seed_array(nnc_rng *rng, const uint32_t *words, size_t n);
/* x (n): uniform on [0, 1), bit for bit RandomState.rand. */
void nnc_rng_uniform(nnc_rng *rng, double *x, size_t n);
/* x (n): standard normal, bit for bit RandomState.randn. */
void nnc_rng_normal(nnc_rng *rng, double *x, size_t n);
/* order (n), n <= 2^32: its elements change places as in RandomState.shuffle. */
void nnc_rng_shuffle(nnc_rng *rng, size_t *order, size_t n);
/* The first `most` moves of the same. What is left is to shuffle as many elements as it returns. */
size_t nnc_rng_shuffle_some(nnc_rng *rng, size_t *order, size_t n, size_t most);

/* The tutorial's start: params (n) = scale * randn, drawn in the block's order. */
void nnc_init(nnc_dtype dtype, void *params, nnc_rng *rng, double scale, size_t n);

/* ---------------------------------------------------------------- single steps, any m >= 0 */

/* y (n) = f(x), for every x: NaN gives NaN, infinities and zeros their limits. The error is at most
 * 1 ulp for exp, 2 ulps for the others. y may be x. */
void nnc_map(nnc_dtype dtype, nnc_function f, void *y, const void *x, size_t n);

/* a (n) = f(z); a may be z. */
void nnc_activate(nnc_dtype dtype, nnc_activation f, void *a, const void *z, size_t n);

/* dz (n) = da * f'(z), from x = a = f(z), or x = z where f is OF_Z; dz may be da or x. */
void nnc_activate_backward(nnc_dtype dtype, nnc_activation f, void *dz, const void *da,
                           const void *x, size_t n);
/* The same from z, whatever f is. dz overlaps neither da nor z. */
void nnc_activation_gradient(nnc_dtype dtype, nnc_activation f, void *dz, const void *da,
                             const void *z, size_t n);

/* z (n_out, m) = W A_prev + b; b may be NULL. z overlaps no input. NNC_ERR_MEMORY, _SIZE. */
nnc_status nnc_forward(nnc_dtype dtype, void *z, const void *w, const void *b, const void *a_prev,
                       size_t n_out, size_t n_in, size_t m);

/* From dz (n_out, m): da_prev (n_in, m) = W^T dz; dw (n_out, n_in) = dz A_prev^T / divisor;
 * db (n_out) = row sums of dz / divisor. A sum over no samples is 0, whatever the divisor. */
nnc_status nnc_backprop(nnc_dtype dtype, void *da_prev, void *dw, void *db, const void *dz,
                        const void *w, const void *a_prev, double divisor, size_t n_out,
                        size_t n_in, size_t m);

/* params (n) -= learning_rate * grads, rounded as NumPy rounds it. */
void nnc_update(nnc_dtype dtype, void *params, const void *grads, double learning_rate, size_t n);

/* The loss of y_hat against y, both (n_out, m), and the fraction of samples whose every class
 * (y_hat > 1/2; for hinge y_hat > 0) is right. A mean over m = 0 samples is NaN. Logarithms see a
 * y_hat of 0 as the smallest normal number, and a 1 - y_hat of 0 as half the machine epsilon.
 * Either result may be NULL. A loss's parameter has its usual value here, as in nnc_output_gradient
 * and nnc_train. */
nnc_status nnc_score(nnc_dtype dtype, nnc_loss loss, double *cost, double *accuracy,
                     const void *y_hat, const void *y, size_t n_out, size_t m);

/* dz (n_out * m) at an output layer with activation f: the derivative of the loss summed over
 * samples by the layer's z. Cross-entropy after sigmoid is y_hat - y. z may be NULL where f is not
 * OF_Z. dz may be y_hat or z. */
void nnc_output_gradient(nnc_dtype dtype, nnc_loss loss, nnc_activation f, void *dz,
                         const void *y_hat, const void *z, const void *y, size_t n);

/* class (n): 1 where p > 1/2, 0 where p <= 1/2, NaN where p is NaN. */
void nnc_classify(nnc_dtype dtype, void *class_, const void *p, size_t n);

/* The index of the first element that is NaN or infinite, n where there is none. */
size_t nnc_first_nonfinite(nnc_dtype dtype, const void *x, size_t n);

/* ------------------------------------------------------------------------------- training */

/* What the caller may do while training runs. Called on the thread that called nnc_train,
 * between whole steps or (poll only) inside one. A status other than NNC_OK ends the training
 * with it; the parameters stay those after the last whole step. Callbacks may be NULL. */
typedef struct {
    void *context;
    nnc_status (*poll)(void *context, size_t epoch, double cost); /* about every 30 ms */
    /* after the update of every epoch that `every` divides; accuracy is NaN where no history of it
     * is kept; params is valid during the call, which may change them */
    nnc_status (*at_epoch)(void *context, size_t epoch, double cost, double accuracy, void *params);
    size_t every;
} nnc_monitor;

/* X(enumerator suffix, C type, NumPy's name): what x may be made of in batches. */
#define NNC_ELEMENT_LIST(X) X(REAL, void, "") NNC_NUMBER_LIST(X)
#define NNC_NUMBER_LIST(X)     \
    X(F32, float, "float32")   \
    X(F64, double, "float64")  \
    X(I8, int8_t, "int8")      \
    X(U8, uint8_t, "uint8")    \
    X(I16, int16_t, "int16")   \
    X(U16, uint16_t, "uint16") \
    X(I32, int32_t, "int32")   \
    X(U32, uint32_t, "uint32") \
    X(I64, int64_t, "int64")   \
    X(U64, uint64_t, "uint64")
#define NNC_ELEMENT_ENUMERATOR(suffix, ...) NNC_ELEMENT_##suffix,
typedef enum { NNC_ELEMENT_LIST(NNC_ELEMENT_ENUMERATOR) NNC_ELEMENT_COUNT } nnc_element;

/* Training data, read through strides counted in elements, so that samples may be rows or columns:
 * x (n_in, m), y (n_out, m). The rest is for nnc_fit and nnc_predict alone, and may be 0. */
typedef struct {
    const void *x, *y;
    ptrdiff_t x_feature, x_sample, y_feature, y_sample; /* strides */
    size_t m;
    nnc_element x_type;     /* NNC_ELEMENT_REAL: the dtype of the network */
    double x_scale;         /* where not 0, x counts as x * x_scale */
    const int64_t *classes; /* (m): instead of y, or NULL */
    double smoothing;       /* of y: at least 0, below 1 */
    const double *weights;  /* (m): at least 0; NULL: all 1 */
} nnc_data;

/* What batches, and nnc_evaluate, make of it; nnc_train reads x, y, their strides and m only.
 *
 * x of another type than the network's is rounded to nearest. With a scale, double(x) * x_scale is
 * computed in double, and then rounded to the dtype.
 *
 * classes: y is 1 for the output that is the sample's class, 0 for the others; the y of a network's
 * only output is the class itself, 0 or 1.
 *
 * smoothing: y counts as y (1 - smoothing) + smoothing u, computed in double and then rounded; u is
 * 1 / n_out for categorical cross-entropy, else 1/2. Hinge, which sees signs only, has none. Where
 * y was 0 or 1, an output on the same side of 1/2 is right; for softmax, the largest one is.
 *
 * weights, rounded to the dtype, multiply each sample's loss and its gradient. In every mean, of
 * accuracies too, their sum takes the place of the number of samples. A batch whose weights are all
 * 0 has gradient 0, and an epoch without any other is NaN. */

/* Work space that a caller keeps from call to call; {0} at first. */
typedef struct {
    void *block;
    size_t size;
} nnc_memory;
void nnc_memory_free(nnc_memory *memory);

/* Full-batch gradient descent. */
typedef struct {
    const nnc_net *net;
    nnc_dtype dtype;
    nnc_loss loss;
    nnc_data data;
    size_t epochs;
    double learning_rate;
    size_t n_threads; /* at least 1; fewer run where more would not pay */
    nnc_rng *rng;     /* where not NULL, params start as nnc_init draws them from it */
    double scale;     /* of nnc_init */
    nnc_monitor monitor;
} nnc_training;

/* Trains params (net->n_params) in place, or from what rng draws. cost and accuracy (epochs) get an
 * entry per epoch, of the parameters before its update; accuracy may be NULL. *done is the number
 * of entries. NNC_OK; what the monitor returned; NNC_ERR_MEMORY, _SIZE (nothing written); or
 * NNC_DIVERGED: params are then the ones that the last entry belongs to. Also NNC_ERR_DENSE. */
nnc_status nnc_train(const nnc_training *training, void *params, double *cost, double *accuracy,
                     size_t *done);

/* Parameters [start, start + n) that a step treats in their own way. Where they are frozen, they
 * and their state stay as they are, bit for bit, and the rest has no meaning. */
typedef struct {
    size_t start, n;
    bool frozen;
    double l1, l2; /* what the loss gets: l1 sum |p| + l2 sum p^2 / 2 */
    double decay;  /* p -= learning_rate * decay * p before the step */
    /* where not 0: after the step, each row of row_length elements whose length as a vector is more
     * is scaled down to this; n is whole rows */
    double max_norm;
    size_t row_length;
} nnc_range;

/* A step on the sum of gradients over a batch, divided by what makes the loss a mean. Then, in this
 * order: l1 and l2 of the ranges; clip_value, for each element; clip_norm, for the length of the
 * gradient by all parameters that are not frozen; decay; the optimizer; max_norm; the average.
 *
 * state, steps and average go on from call to call, and need nothing else to do so bit for bit.
 * Where nnc_fit returns NNC_DIVERGED, they are what the last step left, maybe not finite: state and
 * steps have to start from zeros again, and average from the parameters. */
typedef struct {
    nnc_optimizer optimizer;
    double learning_rate;
    double beta_1, beta_2, epsilon, momentum, rho; /* of those that know them */
    const nnc_range *ranges; /* in order, and without overlap; NULL: nothing special anywhere */
    size_t n_ranges;
    double clip_value, clip_norm; /* 0: none */
    double average_decay;         /* where not 0, average = decay average + (1 - decay) params */
    void *average;                /* (n_params), at first a copy of params; see also above */
    void *state;                  /* (nnc_optimizer_state, n_params), zeros at first */
    uint64_t steps;               /* so far */
} nnc_stepper;

/* A loss that the caller computes. y_hat (n, n_out) are outputs for samples[0 … n - 1] of the data,
 * row-major; slope (n, n_out) becomes the derivative by them of the batch's loss, which is *loss.
 * Called on the thread that called nnc_fit; what it returns is as with nnc_monitor. */
typedef struct {
    void *context;
    nnc_status (*judge)(void *context, const size_t *samples, size_t n, const void *y_hat,
                        void *slope, double *loss);
} nnc_custom_loss;

/* Gradient descent in batches. */
typedef struct {
    const nnc_net *net;
    nnc_dtype dtype;
    nnc_loss loss;
    nnc_data data;
    double loss_parameter;
    const nnc_custom_loss *custom; /* instead of loss, which has to be NNC_LOSS_SSE: the entries of
                                    * cost are means over batches, weighted by their samples, and
                                    * one thread does the way forward and back; or NULL */
    size_t epochs, batch; /* batch: at least 1; the last one of an epoch may have fewer samples */
    nnc_stepper *stepper;
    const double *rates; /* (epochs, n_rates): learning rates instead of the stepper's, or NULL; */
    size_t n_rates;      /* 1, or the number of steps in an epoch. Each is read when its step
                          * begins, so that callbacks may change the later ones */
    const nnc_rng *shuffle; /* where not NULL, the samples change places before each epoch, as it
                             * moves them from the order of data; it stays as it is */
    size_t first_epoch;     /* so many epochs went before, each with its shuffle */
    nnc_memory *deck;       /* where not NULL, keeps the order of samples, a size_t each, so that a
                             * call for epochs that follow repeats no shuffle of those before */
    uint64_t seed;      /* of dropout: what it keeps is a function of the seed, the stepper's steps,
                         * the layer, the sample's place in its batch, and the feature */
    void *outputs;      /* (m, n_out): each epoch leaves the output for each sample, before its
                         * step and as nnc_predict has it, in the sample's row; or NULL */
    size_t n_threads;   /* as in nnc_training */
    nnc_memory *memory; /* or NULL */
    void *before; /* where not NULL, like params: what they were at the start of the epoch before
                   * the first, which NNC_DIVERGED in the first brings back; in the end, at the
                   * start of the last one recorded. So several calls do what one for all their
                   * epochs does */
    size_t *bad_batch; /* where not NULL, gets the first batch of an epoch after which its cost was
                        * no longer finite; SIZE_MAX where there is none */
    nnc_monitor monitor;
} nnc_fitting;

/* Trains params (n_params + n_state) in place. The entries of cost and accuracy are means over an
 * epoch, each batch seen before its step; cost also has what l1 and l2 add, likewise. accuracy may
 * be NULL. With a softmax output a sample counts as right where the largest output is that of the
 * largest y. Returns what nnc_train returns; where it is NNC_DIVERGED, params (but not the stepper)
 * are what they were at the start of the epoch of the last entry. The monitor stops it between
 * whole steps; poll is also called amid long ones, and while many samples change places. Also
 * NNC_ERR_SOFTMAX. */
nnc_status nnc_fit(const nnc_fitting *fitting, void *params, double *cost, double *accuracy,
                   size_t *done);

/* --------------------------------------------------------------- second-order full batches */

/* X(enumerator suffix, name) */
#define NNC_MINIMIZER_LIST(X) \
    X(LBFGS, lbfgs)           \
    X(MARQUARDT, levenberg_marquardt)

/* X(enumerator suffix, name): why a minimization ended */
#define NNC_ENDING_LIST(X)      \
    X(GRADIENT, gradient)       \
    X(DECREASE, decrease)       \
    X(ITERATIONS, iterations)   \
    X(EVALUATIONS, evaluations) \
    X(NO_STEP, no_step)         \
    X(BROKEN_OFF, broken_off)

#define NNC_MINIMIZER_ENUMERATOR(suffix, name) NNC_MINIMIZER_##suffix,
#define NNC_ENDING_ENUMERATOR(suffix, name) NNC_ENDING_##suffix,
typedef enum { NNC_MINIMIZER_LIST(NNC_MINIMIZER_ENUMERATOR) NNC_MINIMIZER_COUNT } nnc_minimizer;
typedef enum { NNC_ENDING_LIST(NNC_ENDING_ENUMERATOR) NNC_ENDING_COUNT } nnc_ending;

const char *nnc_minimizer_name(nnc_minimizer minimizer);
const char *nnc_ending_name(nnc_ending ending);

enum { NNC_MARQUARDT_PARAMS = 4096 };

/* The cost of all samples and the penalties, minimized by
 *
 *   lbfgs                 Nocedal and Wright, "Numerical optimization" (2006), algorithms 7.4 and
 *                         7.5, with the line search of 3.5 and 3.6
 *   levenberg_marquardt   Hagan and Menhaj, "Training feedforward networks with the Marquardt
 *                         algorithm" (1994), for losses that are sums of squares. Its matrix of
 *                         n_params^2 doubles is one thread's work */
typedef struct {
    const nnc_net *net;
    nnc_dtype dtype;
    nnc_loss loss;
    double loss_parameter;
    nnc_data data; /* as nnc_fit takes it */
    nnc_minimizer minimizer;
    size_t iterations, evaluations; /* at most; the start counts as an evaluation */
    double gradient;                /* NNC_ENDING_GRADIENT: none of its elements is larger */
    double decrease; /* NNC_ENDING_DECREASE: a step lowers the cost by at most so much of it; 0:
                      * never */
    size_t history;  /* lbfgs: the steps it remembers, at least 1 */
    double damping, damping_factor, damping_most; /* levenberg_marquardt: mu, the factor by which it
                                                   * falls and rises, and its end (no_step) */
    const nnc_range *ranges; /* as the stepper's, but frozen and l2 alone count */
    size_t n_ranges;
    size_t n_threads;
    nnc_memory *memory; /* or NULL */
    nnc_monitor monitor;
} nnc_minimizing;

typedef struct {
    nnc_ending ending;
    size_t iterations, evaluations;
    double cost, gradient; /* at the end; gradient: its largest element */
} nnc_minimum;

/* Moves params from iterate to iterate. cost (iterations + 1) gets that of the start, then an entry
 * for each iterate, penalties included: none exceeds the lowest before by more than rounding.
 * NNC_OK, however it ended; or, with NNC_ENDING_BROKEN_OFF, NNC_DIVERGED where cost or gradient at
 * an iterate are not finite, or what the monitor returned: params are then the last iterate. Where
 * memory or the problem are refused (NNC_ERR_MEMORY, _SIZE, _SOFTMAX, _SQUARES, _PARAMS, _LAYERS)
 * nothing is written. The monitor's epochs are iterations. */
nnc_status nnc_minimize(const nnc_minimizing *problem, void *params, double *cost,
                        nnc_minimum *minimum);

/* ---------------------------------------------------------------------------- prediction */

/* Work space for nnc_predict and nnc_predict_one on one network, kept from call to call. */
typedef struct nnc_predictor nnc_predictor;

/* NNC_ERR_MEMORY, _SIZE, _SOFTMAX. net must outlive the predictor. */
nnc_status nnc_predictor_new(nnc_predictor **predictor, const nnc_net *net, nnc_dtype dtype);
void nnc_predictor_free(nnc_predictor *predictor);

/* y (m, n_out), row-major: the output for each of data's samples, by params (n_params + n_state).
 * Of data only x is used.
 * NNC_ERR_MEMORY, and what the monitor returns: y is then incomplete. */
nnc_status nnc_predict(nnc_predictor *predictor, const void *params, const nnc_data *data, void *y,
                       size_t n_threads, const nnc_monitor *monitor);
/* The loss of the network on data, computed as nnc_fit computes it (but where that trains in
 * slices, its sum over samples has another order: see csrc/README.md), and the fraction of samples
 * classified right, as there; NaN where y are numbers and the output is no probability, of sigmoid
 * or softmax. Means over no samples, or over weights of sum 0, are NaN. accuracy may be NULL, and
 * outputs, or else it becomes what nnc_predict gives. NNC_ERR_MEMORY, _SIZE, _SOFTMAX, and what the
 * monitor returns: the results are then worthless. */
nnc_status nnc_evaluate(nnc_predictor *predictor, const void *params, const nnc_data *data,
                        nnc_loss loss, double loss_parameter, double *cost, double *accuracy,
                        void *outputs, size_t n_threads, const nnc_monitor *monitor);
/* y (n_out) for one sample x (n_in). Its sums run in another order than nnc_predict's, so that
 * results may differ in their last bits. */
void nnc_predict_one(nnc_predictor *predictor, const void *params, const void *x, void *y);

#endif
