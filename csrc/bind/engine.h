/* engine.h - the type Engine, for the files that make up its methods:
 *   engine.c    what it is, its parameters and its optimizer's state
 *   fitting.c   fit;   predicting.c   predict and evaluate */
#ifndef NNC_BIND_ENGINE_H
#define NNC_BIND_ENGINE_H

#include "bind/module.h"

typedef struct {
    PyObject ob_base;
    nnc_layer *layers;
    nnc_net net;
    nnc_loss loss;
    nnc_dtype dtype;
    void *params; /* (n_params + n_state), on a cache line: `params` are a view of it */
    nnc_predictor *predictor;
    nnc_stepper stepper;
    nnc_memory memory;    /* of fit, kept from call to call */
    nnc_memory deck;      /* likewise: the order of samples */
    unsigned long fitter; /* the thread that fits, 0 for none: it works without the GIL */
    size_t readers;       /* threads that predict without the GIL */
    bool predictor_taken; /* by one of them */
} nnc_engine;

static inline npy_intp nnc_engine_inputs(const nnc_engine *self)
{
    return (npy_intp)self->layers[0].n_in;
}

static inline npy_intp nnc_engine_outputs(const nnc_engine *self)
{
    return (npy_intp)self->layers[self->net.n_layers - 1].n_out;
}

static inline size_t nnc_engine_size(const nnc_engine *self)
{
    return self->net.n_params + self->net.n_state;
}

/* Makes the stepper one of that optimizer, with the state it has or a new one. False with an
 * exception. */
bool nnc_engine_prepare(nnc_engine *self, nnc_optimizer optimizer);

/* The optimizer's state and average are no more. */
void nnc_engine_forget(nnc_engine *self);

/* Samples and labels, as fit and evaluate take them. Objects are borrowed, arrays owned. */
typedef struct {
    nnc_input x, y;
    PyObject *weights_object, *outputs_object; /* or Py_None */
    PyArrayObject *weights, *outputs;          /* or NULL */
    nnc_data data;                             /* smoothing and x_scale are the caller's */
} nnc_samples;

/* ValueError for a smoothing or scale out of range. */
bool nnc_samples_are_sane(const nnc_samples *samples);
/* Converts all of them, and fills data; false with an exception. It may let other threads run. */
bool nnc_engine_read(const nnc_engine *self, nnc_samples *samples);
void nnc_engine_release(nnc_samples *samples);

/* False, with RuntimeError, where another thread trains this network. */
bool nnc_engine_is_free(const nnc_engine *self, const char *method);

extern const char nnc_fit_doc[], nnc_predict_doc[], nnc_evaluate_doc[];
PyObject *nnc_engine_fit(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *nnc_engine_predict(PyObject *self, PyObject *const *args, Py_ssize_t n_args,
                             PyObject *kwnames);
PyObject *nnc_engine_evaluate(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
