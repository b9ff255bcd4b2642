/* errors.c - from statuses and unknown names to exceptions. */
#include "bind/module.h"

bool nnc_check(nnc_status status)
{
    switch (status) {
        case NNC_OK:
        case NNC_STOPPED:
        case NNC_DIVERGED:
            return true;
        case NNC_ERR_MEMORY:
            PyErr_NoMemory();
            return false;
        case NNC_ERR_SIZE:
        case NNC_ERR_CHAIN:
        case NNC_ERR_EMPTY:
        case NNC_ERR_SOFTMAX:
        case NNC_ERR_SQUARES:
        case NNC_ERR_PARAMS:
        case NNC_ERR_LAYERS:
            PyErr_SetString(PyExc_ValueError, nnc_status_text(status));
            return false;
        case NNC_STATUS_COUNT:
            break;
    }
    PyErr_SetString(PyExc_SystemError, "unknown status");
    return false;
}

static PyObject *tuple_of_names(const char *const *texts, int n)
{
    PyObject *names = PyTuple_New(n);
    for (int i = 0; names && i < n; i++) {
        PyObject *name = PyUnicode_FromString(texts[i]);
        if (!name) {
            Py_CLEAR(names);
            break;
        }
        PyTuple_SET_ITEM(names, i, name);
    }
    return names;
}

PyObject *nnc_activation_names(void)
{
    const char *texts[NNC_ACT_COUNT];
    for (int i = 0; i < NNC_ACT_COUNT; i++) texts[i] = nnc_activation_name(i);
    return tuple_of_names(texts, NNC_ACT_COUNT);
}

PyObject *nnc_function_names(void)
{
    const char *texts[NNC_FUNCTION_COUNT];
    for (int i = 0; i < NNC_FUNCTION_COUNT; i++) texts[i] = nnc_function_name(i);
    return tuple_of_names(texts, NNC_FUNCTION_COUNT);
}

/* The known name most like this one in whatever case, a list of at most one str; NULL with an
 * exception. */
static PyObject *close_names(PyObject *name, PyObject *names)
{
    if (!PyUnicode_Check(name)) return PyList_New(0);
    PyObject *close = NULL, *lower = PyObject_CallMethod(name, "lower", NULL);
    PyObject *difflib = lower ? PyImport_ImportModule("difflib") : NULL;
    if (difflib) close = PyObject_CallMethod(difflib, "get_close_matches", "OOi", lower, names, 1);
    Py_XDECREF(lower);
    Py_XDECREF(difflib);
    return close;
}

static void raise_unknown_activation(PyObject *name, const char *argument)
{
    PyObject *names = nnc_activation_names();
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *known = names && comma ? PyUnicode_Join(comma, names) : NULL;
    PyObject *close = known ? close_names(name, names) : NULL;
    if (close && PyList_Check(close) && PyList_GET_SIZE(close) > 0)
        PyErr_Format(PyExc_ValueError,
                     "Non-supported activation function %R in %s: known are %U; did you mean %R?",
                     name, argument, known, PyList_GET_ITEM(close, 0));
    else if (close)
        PyErr_Format(PyExc_ValueError, "Non-supported activation function %R in %s: known are %U",
                     name, argument, known);
    Py_XDECREF(names);
    Py_XDECREF(comma);
    Py_XDECREF(known);
    Py_XDECREF(close);
}

bool nnc_find_activation(PyObject *name, const char *argument, nnc_activation *activation)
{
    for (int i = 0; PyUnicode_Check(name) && i < NNC_ACT_COUNT; i++) {
        if (PyUnicode_CompareWithASCIIString(name, nnc_activation_name(i)) == 0) {
            *activation = (nnc_activation)i;
            return true;
        }
    }
    raise_unknown_activation(name, argument);
    return false;
}

/* The index of `name` among those that name_of gives; -1 with ValueError. */
static int find_name(const char *argument, const char *name, const char *(*name_of)(int), int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, name_of(i)) == 0) return i;
    PyErr_Format(PyExc_ValueError, "%s: unknown name '%s'", argument, name);
    return -1;
}

static const char *loss_name(int i)
{
    return nnc_loss_name((nnc_loss)i);
}

static const char *optimizer_name(int i)
{
    return nnc_optimizer_name((nnc_optimizer)i);
}

bool nnc_find_loss(const char *name, nnc_loss *loss)
{
    int i = find_name("loss", name, loss_name, NNC_LOSS_COUNT);
    *loss = (nnc_loss)i;
    return i >= 0;
}

bool nnc_find_optimizer(const char *name, nnc_optimizer *optimizer)
{
    int i = find_name("optimizer", name, optimizer_name, NNC_OPTIMIZER_COUNT);
    *optimizer = (nnc_optimizer)i;
    return i >= 0;
}

static const char *minimizer_name(int i)
{
    return nnc_minimizer_name((nnc_minimizer)i);
}

bool nnc_find_minimizer(const char *name, nnc_minimizer *minimizer)
{
    int i = find_name("method", name, minimizer_name, NNC_MINIMIZER_COUNT);
    *minimizer = (nnc_minimizer)i;
    return i >= 0;
}

bool nnc_find_function(PyObject *name, nnc_function *function)
{
    for (int i = 0; PyUnicode_Check(name) && i < NNC_FUNCTION_COUNT; i++) {
        if (PyUnicode_CompareWithASCIIString(name, nnc_function_name(i)) == 0) {
            *function = (nnc_function)i;
            return true;
        }
    }
    PyErr_Format(PyExc_ValueError, "no function %R", name);
    return false;
}
