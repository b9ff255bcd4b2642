/* monitor.c - what Python may do while the core trains: handle signals, and be called back. */
#include "bind/module.h"

/* Consumes the result of a callback; whether it was True. */
static bool asks_to_stop(nnc_python_monitor *self, PyObject *result)
{
    if (!result) self->failed = true;
    bool stop = result == Py_True;
    Py_XDECREF(result);
    return stop;
}

static nnc_status poll(void *context, size_t epoch, double cost)
{
    nnc_python_monitor *self = context;
    PyEval_RestoreThread(self->thread);
    if (PyErr_CheckSignals() < 0)
        self->failed = true;
    else if (self->progress)
        asks_to_stop(self, PyObject_CallFunction(self->progress, "nd", (Py_ssize_t)epoch, cost));
    self->thread = PyEval_SaveThread();
    return self->failed ? NNC_STOPPED : NNC_OK;
}

static nnc_status at_epoch(void *context, size_t epoch, double cost, double accuracy,
                           const void *params)
{
    nnc_python_monitor *self = context;
    bool stop = false;
    PyEval_RestoreThread(self->thread);
    PyArrayObject *copy = nnc_new_array(self->dtype, 1, &self->n_params);
    if (copy) {
        memcpy(PyArray_DATA(copy), params, self->size);
        stop = asks_to_stop(self, PyObject_CallFunction(self->at_epoch, "nddN", (Py_ssize_t)epoch,
                                                        cost, accuracy, copy));
    } else {
        self->failed = true;
    }
    self->thread = PyEval_SaveThread();
    return stop || self->failed ? NNC_STOPPED : NNC_OK;
}

nnc_monitor nnc_monitor_of(nnc_python_monitor *self, size_t every)
{
    return (nnc_monitor){.context = self,
                         .poll = poll,
                         .at_epoch = self->at_epoch ? at_epoch : NULL,
                         .every = every};
}
