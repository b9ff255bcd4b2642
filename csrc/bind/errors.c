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
        case NNC_ERR_LAYER:
        case NNC_ERR_LAST:
        case NNC_ERR_DENSE:
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

/* The names of a list, in the order of its enumerators. */
#define NAME(suffix, name, ...) #name,
static const char *const activations[] = {NNC_ACTIVATION_LIST(NAME) NNC_SOFTMAX_LIST(NAME)};
static const char *const losses[] = {NNC_LOSS_LIST(NAME)};
static const char *const optimizers[] = {NNC_OPTIMIZER_LIST(NAME)};
static const char *const minimizers[] = {NNC_MINIMIZER_LIST(NAME)};
static const char *const functions[] = {NNC_FUNCTION_LIST(NAME)};
#undef NAME
#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

PyObject *nnc_activation_names(void)
{
    return tuple_of_names(activations, NNC_ACT_COUNT);
}

PyObject *nnc_function_names(void)
{
    return tuple_of_names(functions, N_OF(functions));
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

static void raise_unknown(PyObject *name, const char *argument, const char *kind,
                          const char *const *texts, int n)
{
    PyObject *names = tuple_of_names(texts, n);
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *known = names && comma ? PyUnicode_Join(comma, names) : NULL;
    PyObject *close = known ? close_names(name, names) : NULL;
    if (close && PyList_Check(close) && PyList_GET_SIZE(close) > 0)
        PyErr_Format(PyExc_ValueError, "Non-supported %s %R in %s: known are %U; did you mean %R?",
                     kind, name, argument, known, PyList_GET_ITEM(close, 0));
    else if (close)
        PyErr_Format(PyExc_ValueError, "Non-supported %s %R in %s: known are %U", kind, name,
                     argument, known);
    Py_XDECREF(names);
    Py_XDECREF(comma);
    Py_XDECREF(known);
    Py_XDECREF(close);
}

/* The index of `name` among texts (n); -1 with ValueError, which says what kind of name it should
 * be, and what the argument is called. */
static int find_name(PyObject *name, const char *argument, const char *kind,
                     const char *const *texts, int n)
{
    for (int i = 0; PyUnicode_Check(name) && i < n; i++)
        if (PyUnicode_CompareWithASCIIString(name, texts[i]) == 0) return i;
    raise_unknown(name, argument, kind, texts, n);
    return -1;
}

bool nnc_find_activation(PyObject *name, const char *argument, bool softmax,
                         nnc_activation *activation)
{
    int n = softmax ? N_OF(activations) : NNC_ACT_COUNT;
    int i = find_name(name, argument, "activation function", activations, n);
    *activation = (nnc_activation)i;
    return i >= 0;
}

/* The same for a C string, in UTF-8. */
static int find_text(const char *text, const char *kind, const char *const *texts, int n)
{
    PyObject *name = PyUnicode_FromString(text);
    int i = name ? find_name(name, kind, kind, texts, n) : -1;
    Py_XDECREF(name);
    return i;
}

bool nnc_find_loss(const char *name, nnc_loss *loss)
{
    int i = find_text(name, "loss", losses, N_OF(losses));
    *loss = (nnc_loss)i;
    return i >= 0;
}

bool nnc_find_optimizer(const char *name, nnc_optimizer *optimizer)
{
    int i = find_text(name, "optimizer", optimizers, N_OF(optimizers));
    *optimizer = (nnc_optimizer)i;
    return i >= 0;
}

bool nnc_find_minimizer(const char *name, nnc_minimizer *minimizer)
{
    int i = find_text(name, "method", minimizers, N_OF(minimizers));
    *minimizer = (nnc_minimizer)i;
    return i >= 0;
}

bool nnc_find_function(PyObject *name, nnc_function *function)
{
    int i = find_name(name, "name", "function", functions, N_OF(functions));
    *function = (nnc_function)i;
    return i >= 0;
}
