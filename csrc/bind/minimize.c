/* minimize.c - the second-order methods on all samples at once. */
#include "bind/module.h"

/* False with ValueError where a number makes no sense; NaN makes none. */
static bool check_options(const nnc_minimizing *problem, Py_ssize_t iterations,
                          Py_ssize_t evaluations, Py_ssize_t history, Py_ssize_t n_threads)
{
    const struct {
        const char *name, *expected;
        bool right;
    } rules[] = {
        {"max_iter", "an integer >= 0", iterations >= 0 && iterations < PY_SSIZE_T_MAX / 16},
        {"max_evaluations", "an integer >= 1", evaluations >= 1},
        {"gradient_tolerance", "a number >= 0", problem->gradient >= 0},
        {"decrease_tolerance", "a number >= 0", problem->decrease >= 0},
        {"history", "an integer >= 1", history >= 1},
        {"damping", "a number > 0", problem->damping > 0},
        {"damping_factor", "a number > 1", problem->damping_factor > 1},
        {"damping_most", "a finite number >= damping",
         problem->damping_most >= problem->damping && problem->damping_most <= 1e300},
        {"n_threads", "an integer >= 1", n_threads >= 1},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].right) continue;
        PyErr_Format(PyExc_ValueError, "%s: expected %s", rules[i].name, rules[i].expected);
        return false;
    }
    return true;
}

PyDoc_STRVAR(
    minimize_doc,
    "minimize($module, /, params, X, Y, layers, loss, method='lbfgs', max_iter=200,\n"
    "         max_evaluations=15000, gradient_tolerance=1e-05, decrease_tolerance=2.2e-09,\n"
    "         history=10, damping=0.001, damping_factor=10.0, damping_most=10000000000.0,\n"
    "         ranges=(), n_threads=1, progress=None, at_iteration=None, every=1, *,\n"
    "         weights=None, loss_parameter=0.0)\n--\n\n"
    "Minimizes the cost of all samples over the block params, in place.\n\n"
    "X (n_in, m) and Y (n_out, m) have any strides. method is 'lbfgs' or, for sums of squares,\n"
    "'levenberg_marquardt', which alone has a damping. ranges are (start, n, frozen, l2): parts\n"
    "of the block that stay as they are, or add l2 / 2 times their squares to the cost.\n"
    "progress(iteration, cost) is called about every 30 ms, at_iteration(iteration, cost, nan,\n"
    "params) after every iteration that `every` divides, with a copy of the block; True from the\n"
    "latter stops.\n\n"
    "Returns\n-------\n"
    "dict\n"
    "    status: 'ok', 'stopped' (by at_iteration) or 'diverged' (cost or gradient are not\n"
    "    finite); ending: 'gradient', 'decrease' (within the tolerance), 'iterations',\n"
    "    'evaluations' (the limit), 'no_step' (none lowers the cost) or 'broken_off';\n"
    "    iterations, evaluations (int); cost, gradient (float: the end's cost, and the largest\n"
    "    element of its gradient); history (ndarray: cost at the start and after each iteration).\n"
    "    In every case, an exception included, params hold the last iterate.");

static PyObject *minimum_of(nnc_status status, const nnc_minimum *minimum, PyArrayObject *cost)
{
    const char *text = status == NNC_OK ? "ok" : status == NNC_STOPPED ? "stopped" : "diverged";
    PyObject *history = nnc_head(cost, minimum->iterations + 1);
    if (!history) return NULL;
    return Py_BuildValue("{sssssnsnsdsdsN}", "status", text, "ending",
                         nnc_ending_name(minimum->ending), "iterations",
                         (Py_ssize_t)minimum->iterations, "evaluations",
                         (Py_ssize_t)minimum->evaluations, "cost", minimum->cost, "gradient",
                         minimum->gradient, "history", history);
}

static PyObject *minimize(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"params",
                            "X",
                            "Y",
                            "layers",
                            "loss",
                            "method",
                            "max_iter",
                            "max_evaluations",
                            "gradient_tolerance",
                            "decrease_tolerance",
                            "history",
                            "damping",
                            "damping_factor",
                            "damping_most",
                            "ranges",
                            "n_threads",
                            "progress",
                            "at_iteration",
                            "every",
                            "weights",
                            "loss_parameter",
                            NULL};
    nnc_input in[] = {{.name = "X", .strided = true}, {.name = "Y", .strided = true}};
    nnc_input weights = {.name = "weights", .object = Py_None};
    nnc_minimizing problem = {.gradient = 1e-5,
                              .decrease = 2.2e-9,
                              .damping = 1e-3,
                              .damping_factor = 10,
                              .damping_most = 1e10};
    PyObject *params_object, *layers_object, *ranges_object = NULL, *result = NULL;
    PyObject *progress = Py_None, *callback = Py_None;
    const char *loss_name, *method = "lbfgs";
    Py_ssize_t iterations = 200, evaluations = 15000, history = 10, n_threads = 1, every = 1;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOOOs|snnddndddOnOOn$Od:minimize", names, &params_object, &in[0].object,
            &in[1].object, &layers_object, &loss_name, &method, &iterations, &evaluations,
            &problem.gradient, &problem.decrease, &history, &problem.damping,
            &problem.damping_factor, &problem.damping_most, &ranges_object, &n_threads, &progress,
            &callback, &every, &weights.object, &problem.loss_parameter))
        return NULL;

    PyArrayObject *params = nnc_writable(params_object, "params", 1, &problem.dtype), *cost = NULL;
    if (!params || !nnc_find_loss(loss_name, &problem.loss) ||
        !nnc_find_minimizer(method, &problem.minimizer) ||
        !check_options(&problem, iterations, evaluations, history, n_threads))
        return NULL;
    if (every < 1) {
        PyErr_SetString(PyExc_ValueError, "every: expected an integer >= 1");
        return NULL;
    }

    nnc_net net;
    nnc_range *ranges = NULL;
    nnc_layer *layers = nnc_read_net(layers_object, true, params, &net);
    if (!layers) return NULL;
    if (ranges_object) {
        ranges = nnc_read_ranges(ranges_object, false, net.n_params, &problem.n_ranges);
        if (!ranges) goto free_layers;
    }
    if (!nnc_read_inputs_as(in, 2, problem.dtype)) goto free_layers;
    PyArrayObject *x = in[0].array, *y = in[1].array;
    npy_intp n_in = (npy_intp)layers[0].n_in, n_out = (npy_intp)layers[net.n_layers - 1].n_out;
    if (!nnc_expect_matrix(&in[0], n_in, -1) ||
        !nnc_expect_matrix(&in[1], n_out, PyArray_DIM(x, 1)))
        goto release;
    if (weights.object != Py_None && (!nnc_read_inputs_as(&weights, 1, NNC_F64) ||
                                      !nnc_expect_vector(&weights, PyArray_DIM(x, 1))))
        goto release;
    if (PyArray_DIM(x, 1) == 0) {
        PyErr_SetString(PyExc_ValueError, "X: expected at least one sample, got none");
        goto release;
    }
    npy_intp entries = iterations + 1;
    cost = nnc_new_array(NNC_F64, 1, &entries);
    if (!cost) goto release;

    nnc_python_monitor self = {.progress = progress == Py_None ? NULL : progress,
                               .at_epoch = callback == Py_None ? NULL : callback,
                               .dtype = problem.dtype,
                               .n_params = PyArray_SIZE(params),
                               .size = (size_t)PyArray_NBYTES(params)};
    problem.net = &net;
    problem.data = nnc_columns(x, y);
    if (weights.array) problem.data.weights = PyArray_DATA(weights.array);
    problem.iterations = (size_t)iterations;
    problem.evaluations = (size_t)evaluations;
    problem.history = (size_t)history;
    problem.ranges = ranges;
    problem.n_threads = (size_t)n_threads;
    problem.monitor = nnc_monitor_of(&self, (size_t)every);
    nnc_minimum minimum = {0};
    self.thread = PyEval_SaveThread();
    nnc_status status = nnc_minimize(&problem, PyArray_DATA(params), PyArray_DATA(cost), &minimum);
    PyEval_RestoreThread(self.thread);
    if (!self.failed && nnc_check(status)) result = minimum_of(status, &minimum, cost);
release:
    Py_XDECREF(cost);
    nnc_release_inputs(in, 2);
    nnc_release_inputs(&weights, 1);
free_layers:
    PyMem_Free(ranges);
    PyMem_Free(layers);
    return result;
}

PyMethodDef nnc_minimize_methods[] = {NNC_METHOD(minimize), {NULL}};
