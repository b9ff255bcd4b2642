/* predicting.c - Engine.predict. */
#include "bind/engine.h"

const char nnc_predict_doc[] =
    "predict($self, X, /, n_threads=1)\n--\n\n"
    "The output for each row of X (m, n_in), an array (m, n_out); for one\n"
    "sample X (n_in,) an array (n_out,).";

static PyObject *predict_one(nnc_engine *self, PyArrayObject *x)
{
    npy_intp outputs = nnc_engine_outputs(self);
    PyArrayObject *y = nnc_new_array(self->dtype, 1, &outputs);
    if (y) nnc_predict_one(self->predictor, self->params, PyArray_DATA(x), PyArray_DATA(y));
    return (PyObject *)y;
}

/* A thread that reads params without the GIL: fit refuses to begin meanwhile. The second one at a
 * time gets work space of its own. */
static nnc_status begin_reading(nnc_engine *self, nnc_predictor **predictor)
{
    *predictor = self->predictor;
    if (self->predictor_taken) {
        nnc_status status = nnc_predictor_new(predictor, &self->net, self->dtype);
        if (status != NNC_OK) return status;
    }
    self->predictor_taken = true;
    self->readers++;
    return NNC_OK;
}

static void end_reading(nnc_engine *self, nnc_predictor *predictor)
{
    self->readers--;
    if (predictor == self->predictor)
        self->predictor_taken = false;
    else
        nnc_predictor_free(predictor);
}

static PyObject *predict_rows(nnc_engine *self, PyArrayObject *x, size_t n_threads)
{
    npy_intp shape[] = {PyArray_DIM(x, 0), nnc_engine_outputs(self)};
    nnc_predictor *predictor;
    PyArrayObject *y = nnc_new_array(self->dtype, 2, shape);
    if (!y) return NULL;
    nnc_status status = begin_reading(self, &predictor);
    if (status == NNC_OK) {
        nnc_python_monitor monitor = {.dtype = self->dtype};
        nnc_monitor polls = nnc_monitor_of(&monitor, 1);
        nnc_data data = nnc_rows(x, NULL);
        monitor.thread = PyEval_SaveThread();
        status = nnc_predict(predictor, self->params, &data, PyArray_DATA(y), n_threads, &polls);
        PyEval_RestoreThread(monitor.thread);
        end_reading(self, predictor);
        if (monitor.failed) Py_CLEAR(y);
    }
    if (!nnc_check(status)) Py_CLEAR(y);
    return (PyObject *)y;
}

PyObject *nnc_engine_predict(PyObject *object, PyObject *const *args, Py_ssize_t n_args,
                             PyObject *kwnames)
{
    nnc_engine *self = (nnc_engine *)object;
    Py_ssize_t n_names = kwnames ? PyTuple_GET_SIZE(kwnames) : 0, n_threads = 1;
    if (n_args < 1 || n_args + n_names > 2 ||
        (n_names == 1 &&
         PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "n_threads") != 0)) {
        PyErr_SetString(PyExc_TypeError, "predict: expected X, and n_threads or nothing");
        return NULL;
    }
    if (n_args + n_names == 2) n_threads = PyNumber_AsSsize_t(args[1], PyExc_OverflowError);
    if (n_threads == -1 && PyErr_Occurred()) return NULL;
    if (n_threads < 1) {
        PyErr_SetString(PyExc_ValueError, "n_threads: expected at least 1");
        return NULL;
    }
    if (!nnc_engine_is_free(self, "predict")) return NULL;
    if (nnc_is_row(args[0], self->dtype, nnc_engine_inputs(self)))
        return predict_one(self, (PyArrayObject *)args[0]);

    PyObject *result = NULL;
    nnc_input in = {.name = "X", .object = args[0], .strided = true};
    if (!nnc_read_inputs_as(&in, 1, self->dtype)) return NULL;
    /* once more: to read an input may let other threads run */
    if (!nnc_engine_is_free(self, "predict")) goto done;
    if (PyArray_NDIM(in.array) == 1 && PyArray_DIM(in.array, 0) == nnc_engine_inputs(self)) {
        in.strided = false;
        nnc_release_inputs(&in, 1);
        if (!nnc_read_inputs_as(&in, 1, self->dtype)) return NULL;
        result = predict_one(self, in.array);
    } else if (nnc_expect_matrix(&in, -1, nnc_engine_inputs(self))) {
        result = predict_rows(self, in.array, (size_t)n_threads);
    }
done:
    nnc_release_inputs(&in, 1);
    return result;
}
