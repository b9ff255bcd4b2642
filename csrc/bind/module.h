/* module.h - what the files of the binding share. Who does what, and nobody else:
 *   module.c    creates the module and imports NumPy's C API
 *   arrays.c    looks at an array's dtype, flags, shape, overlap
 *   errors.c    turns a status of the core, or an unknown name, into an exception
 *   ranges.c    parts of the parameter block, from tuples
 *   monitor.c   lets Python act while the core trains
 *   elementwise.c   functions of each element;   steps.c   the tutorial's other single steps
 *   training.c  training, random numbers, the CPU;   threads.c   the number of threads
 *   minimize.c  the second-order methods
 *   engine.c, fitting.c, predicting.c   the type Engine: a network that trains in batches and
 *               predicts */
#ifndef NNC_BIND_MODULE_H
#define NNC_BIND_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL nnc_array_api
#ifndef NNC_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef" /* NumPy's own headers */
#include <numpy/arrayobject.h>
#pragma GCC diagnostic pop

#include "nnc.h"

extern PyMethodDef nnc_elementwise_methods[], nnc_step_methods[], nnc_training_methods[],
    nnc_minimize_methods[], nnc_thread_methods[];

#define NNC_METHOD(name) \
    {#name, (PyCFunction)(void (*)(void))name, METH_VARARGS | METH_KEYWORDS, name##_doc}

/* ------------------------------------------------------------------------------ arrays.c */

/* An array argument: in, what the caller passed; out, what C may read. */
typedef struct {
    const char *name;
    PyObject *object;
    bool follows;         /* does not decide the common dtype: labels */
    bool strided;         /* any strides will do: else C-contiguous */
    PyArrayObject *array; /* owned: the dtype of the call, aligned, native byte order */
} nnc_input;

/* Converts all inputs to one dtype: float32 where all that decide are float32, else float64.
 * TypeError for anything but real numbers. On failure nothing is owned. */
bool nnc_read_inputs(nnc_input *inputs, size_t n, nnc_dtype *dtype);
/* The same with the dtype given. */
bool nnc_read_inputs_as(nnc_input *inputs, size_t n, nnc_dtype dtype);
void nnc_release_inputs(nnc_input *inputs, size_t n);
/* Samples as rows, in a type that the core reads: data's x gets them. */
bool nnc_read_samples(nnc_input *x, nnc_dtype dtype, nnc_data *data);
/* Labels in the dtype, or *classes: a vector of int64, which is left as it is. */
bool nnc_read_labels(nnc_input *y, nnc_dtype dtype, bool *classes);
void nnc_attach_labels(nnc_data *data, PyArrayObject *y, bool classes);

/* A vector of 32-bit words, owned by the caller; NULL with an exception. */
PyArrayObject *nnc_read_words(PyObject *object);

/* ValueError unless the input is a matrix of that shape; -1 stands for any number. */
bool nnc_expect_matrix(const nnc_input *input, npy_intp rows, npy_intp cols);
/* ValueError unless the input is a vector of n elements; of m classes below n_classes. */
bool nnc_expect_vector(const nnc_input *input, npy_intp n);
bool nnc_expect_classes(const nnc_input *y, npy_intp m, npy_intp n_classes);
/* ValueError unless the input has the shape of the other; one number is repeated to it where
 * `repeat`. */
bool nnc_expect_like(nnc_input *input, const nnc_input *other, bool repeat);

/* A new C-contiguous array; NULL with an exception. */
PyArrayObject *nnc_new_array(nnc_dtype dtype, int ndim, const npy_intp *shape);
PyArrayObject *nnc_new_like(nnc_dtype dtype, PyArrayObject *array);

/* A new vector of integers; NULL with an exception. */
PyObject *nnc_new_indices(const size_t *indices, size_t n);
/* A vector on memory that belongs to owner; NULL with an exception. */
PyObject *nnc_view(nnc_dtype dtype, npy_intp n, void *data, PyObject *owner);
/* The first n elements of a vector, a view. */
PyObject *nnc_head(PyArrayObject *vector, size_t n);
/* Matrices whose rows are samples; y may be NULL. */
nnc_data nnc_rows(PyArrayObject *x, PyArrayObject *y);
/* The same of matrices whose columns are samples. */
nnc_data nnc_columns(PyArrayObject *x, PyArrayObject *y);
/* Whether the object is a vector of n elements that C may read as it is. */
bool nnc_is_row(PyObject *object, nnc_dtype dtype, npy_intp n);
/* The dtype of that name; false with ValueError. */
bool nnc_find_dtype(const char *name, nnc_dtype *dtype);

/* The array that C may write in place, borrowed: C-contiguous, writeable float32 or float64, with
 * ndim dimensions (-1: any). NULL with TypeError or ValueError. */
PyArrayObject *nnc_writable(PyObject *object, const char *name, int ndim, nnc_dtype *dtype);
/* Whether the memory of two contiguous arrays overlaps without being the same. */
bool nnc_overlap(PyArrayObject *a, PyArrayObject *b);

/* ------------------------------------------------------------------------------ errors.c */

/* Raises what the status means; NNC_OK, NNC_STOPPED and NNC_DIVERGED raise nothing. True where
 * nothing was raised. */
bool nnc_check(nnc_status status);
/* The names of all activations, a tuple. */
PyObject *nnc_activation_names(void);
/* The activation of that name, one of NNC_SOFTMAX_LIST only where `softmax`; false with ValueError,
 * which says what the argument is called. */
bool nnc_find_activation(PyObject *name, const char *argument, bool softmax,
                         nnc_activation *activation);
bool nnc_find_loss(const char *name, nnc_loss *loss);
bool nnc_find_optimizer(const char *name, nnc_optimizer *optimizer);
bool nnc_find_minimizer(const char *name, nnc_minimizer *minimizer);

/* ----------------------------------------------------------------------------- monitor.c */

/* What the core's monitor needs to call back into Python: it holds no GIL while it computes. */
typedef struct {
    PyThreadState *thread;
    PyObject *progress, *at_epoch; /* borrowed; NULL for none. at_epoch(epoch, cost, accuracy), and
                                    * a copy of the parameters where the core gives them */
    nnc_dtype dtype;
    npy_intp n_params;
    size_t size; /* bytes of the parameters */
    bool failed; /* an exception is set */
} nnc_python_monitor;

/* Its thread is set just before the core is called, and taken back just after. */
nnc_monitor nnc_monitor_of(nnc_python_monitor *self, size_t every);

/* ---------------------------------------------------------------------------- training.c */

/* layers (n) from a sequence of (n_in, n_out, activation, has_bias); owned by the caller. Where
 * `any`, those of NNC_SOFTMAX_LIST are known too, and kind, rate, epsilon, momentum may follow. */
nnc_layer *nnc_read_layers(PyObject *sequence, size_t *n, bool any);
/* Those layers, and the network of them, which params must be a block of. */
nnc_layer *nnc_read_net(PyObject *sequence, bool any, PyArrayObject *params, nnc_net *net);
/* Seeds from an int, as numpy.random.seed(int), or a uint32 array, as numpy.random.seed(array). */
bool nnc_seed_rng(nnc_rng *rng, PyObject *seed);

/* ------------------------------------------------------------------------------ ranges.c */

/* Parts of a block of n_params parameters, in order, from tuples (start, n, frozen, l1, l2, decay,
 * max_norm, row_length), or where not `all` (start, n, frozen, l2); owned by the caller. NULL with
 * an exception. */
nnc_range *nnc_read_ranges(PyObject *sequence, bool all, size_t n_params, size_t *n_ranges);

/* ------------------------------------------------------------------------------ engine.c */

extern PyType_Spec nnc_engine_spec;

/* The names of all functions, a tuple; and the function of that name, or false with ValueError. */
PyObject *nnc_function_names(void);
bool nnc_find_function(PyObject *name, nnc_function *function);

/* ------------------------------------------------------------------------------------ GIL */

/* Lets other threads run while C works for more than some microseconds. */
static inline PyThreadState *nnc_release_gil(size_t work)
{
    return work > 20000 ? PyEval_SaveThread() : NULL;
}

static inline void nnc_take_gil(PyThreadState *state)
{
    if (state) PyEval_RestoreThread(state);
}

#endif
