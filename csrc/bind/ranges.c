/* ranges.c - parts of the parameter block that are treated in their own way, from tuples. */
#include "bind/module.h"

/* A finite number of at least 0. */
static bool is_amount(double x)
{
    return x >= 0 && Py_IS_FINITE(x);
}

/* False with an exception unless the item is a tuple with the fields of a range. */
static bool parse(PyObject *item, bool all, Py_ssize_t *start, Py_ssize_t *n, Py_ssize_t *row,
                  nnc_range *range)
{
    int frozen = 0;
    if (!PyTuple_Check(item)) {
        PyErr_Format(PyExc_TypeError, "ranges: expected tuples, got %s", Py_TYPE(item)->tp_name);
        return false;
    }
    bool good =
        all ? PyArg_ParseTuple(item,
                               "nnpddddn;ranges: expected (start, n, frozen, l1, l2, decay, "
                               "max_norm, row_length)",
                               start, n, &frozen, &range->l1, &range->l2, &range->decay,
                               &range->max_norm, row)
            : PyArg_ParseTuple(item, "nnpd;ranges: expected (start, n, frozen, l2)", start, n,
                               &frozen, &range->l2);
    range->frozen = frozen;
    return good;
}

static bool check_numbers(const nnc_range *range, bool all, Py_ssize_t n, Py_ssize_t row)
{
    if (!all) {
        if (range->l2 >= 0 && range->l2 <= 1e300) return true;
        PyErr_SetString(PyExc_ValueError, "ranges: l2 must be a finite number >= 0");
        return false;
    }
    if (is_amount(range->l1) && is_amount(range->l2) && is_amount(range->decay) &&
        is_amount(range->max_norm) && row >= 0 &&
        (range->max_norm == 0 || (row > 0 && n % row == 0)))
        return true;
    PyErr_SetString(PyExc_ValueError, "ranges: l1, l2, decay and max_norm must be finite numbers "
                                      ">= 0, and n whole rows where there is a max_norm");
    return false;
}

nnc_range *nnc_read_ranges(PyObject *sequence, bool all, size_t n_params, size_t *n_ranges)
{
    PyObject *items = PySequence_Fast(sequence, "ranges: expected a sequence");
    if (!items) return NULL;
    *n_ranges = (size_t)PySequence_Fast_GET_SIZE(items);
    nnc_range *ranges = PyMem_Calloc(*n_ranges + 1, sizeof *ranges);
    if (!ranges) PyErr_NoMemory();
    size_t end = 0;
    for (size_t i = 0; ranges && i < *n_ranges; i++) {
        Py_ssize_t start = 0, n = 0, row = 0;
        nnc_range *range = &ranges[i];
        bool good = parse(PySequence_Fast_GET_ITEM(items, i), all, &start, &n, &row, range);
        bool fits = good && start >= 0 && n >= 0 && (size_t)start >= end &&
                    (size_t)start <= n_params && (size_t)n <= n_params - (size_t)start;
        if (good && !fits)
            PyErr_Format(PyExc_ValueError,
                         "ranges: expected parts of %zu parameters in order and without overlap, "
                         "got [%zd, %zd + %zd)",
                         n_params, start, start, n);
        if (!fits || !check_numbers(range, all, n, row)) {
            PyMem_Free(ranges);
            ranges = NULL;
            break;
        }
        range->start = (size_t)start;
        range->n = (size_t)n;
        range->row_length = (size_t)row;
        end = range->start + range->n;
    }
    Py_DECREF(items);
    return ranges;
}
