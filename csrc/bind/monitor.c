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
    if (PyErr_CheckSignals() < 0) self->failed = true;
    bool stop = false;
    if (!self->failed && self->progress)
        stop = asks_to_stop(self,
                            PyObject_CallFunction(self->progress, "nd", (Py_ssize_t)epoch, cost));
    self->thread = PyEval_SaveThread();
    return stop || self->failed ? NNC_STOPPED : NNC_OK;
}

static PyObject *report(const nnc_python_monitor *self, size_t epoch, double cost, double accuracy,
                        const void *params)
{
    if (!params)
        return PyObject_CallFunction(self->at_epoch, "ndd", (Py_ssize_t)epoch, cost, accuracy);
    PyArrayObject *copy = nnc_new_array(self->dtype, 1, &self->n_params);
    if (!copy) return NULL;
    memcpy(PyArray_DATA(copy), params, self->size);
    return PyObject_CallFunction(self->at_epoch, "nddN", (Py_ssize_t)epoch, cost, accuracy, copy);
}

static nnc_status at_epoch(void *context, size_t epoch, double cost, double accuracy, void *params)
{
    nnc_python_monitor *self = context;
    PyEval_RestoreThread(self->thread);
    bool stop = asks_to_stop(self, report(self, epoch, cost, accuracy, params));
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
