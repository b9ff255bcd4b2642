/* threads.c - the number of threads, and the end of idle ones. */
#include "bind/module.h"

PyDoc_STRVAR(get_num_threads_doc,
             "get_num_threads($module, /)\n--\n\n"
             "The number of threads of calls that don't say; 0 where NNC_NUM_THREADS makes no\n"
             "sense.");

static PyObject *get_num_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(nnc_get_num_threads());
}

PyDoc_STRVAR(set_num_threads_doc, "set_num_threads($module, n, /)\n--\n\n"
                                  "Sets it; 0 leaves it to the environment.");

static PyObject *set_num_threads(PyObject *Py_UNUSED(module), PyObject *n)
{
    long number = PyLong_AsLong(n);
    if (number == -1 && PyErr_Occurred()) return NULL;
    if (number < 0 || number > NNC_MAX_THREADS)
        return PyErr_Format(PyExc_ValueError, "n: expected 0 to %d", (int)NNC_MAX_THREADS);
    nnc_set_num_threads((int)number);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    shutdown_threads_doc,
    "shutdown_threads($module, /)\n--\n\n"
    "End the threads that wait for the next training.\n\n"
    "The first training on several threads starts them, and they are kept. Ending them\n"
    "costs the next one some 50 us a thread. It is of use before a fork: since Python 3.12\n"
    "os.fork warns in a process with several threads. Forking is safe without it.\n\n"
    "Returns\n-------\n"
    "bool\n"
    "    True where no such threads are left; False where a training is using them, and\n"
    "    nothing was done.\n\n"
    "Examples\n--------\n"
    ">>> import nnc\n"
    ">>> nnc.shutdown_threads()\n"
    "True");

static PyObject *shutdown_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(nnc_shutdown_threads());
}

PyMethodDef nnc_thread_methods[] = {
    {"get_num_threads", get_num_threads, METH_NOARGS, get_num_threads_doc},
    {"set_num_threads", set_num_threads, METH_O, set_num_threads_doc},
    {"shutdown_threads", shutdown_threads, METH_NOARGS, shutdown_threads_doc},
    {NULL, NULL, 0, NULL},
};
