/* module.c - the extension module nnc._core: put together, and NumPy's C API imported. */
#define NNC_IMPORTS_NUMPY
#include "bind/module.h"

#include <stdlib.h>

/* Takes the tuple of names, which may be NULL with an exception. */
static bool add_names(PyObject *module, const char *attribute, PyObject *names)
{
    bool added = names && PyModule_AddObjectRef(module, attribute, names) == 0;
    Py_XDECREF(names);
    return added;
}

static int exec(PyObject *module)
{
    if (PyArray_ImportNumPyAPI() < 0) return -1;
    if (PyModule_AddFunctions(module, nnc_elementwise_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, nnc_step_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, nnc_training_methods) < 0) return -1;
    if (PyModule_AddFunctions(module, nnc_minimize_methods) < 0) return -1;
    PyObject *engine = PyType_FromModuleAndSpec(module, &nnc_engine_spec, NULL);
    int typed = engine ? PyModule_AddType(module, (PyTypeObject *)engine) : -1;
    Py_XDECREF(engine);
    if (typed < 0) return -1;
    if (PyModule_AddFunctions(module, nnc_thread_methods) < 0) return -1;
    if (PyModule_AddIntConstant(module, "MAX_THREADS", NNC_MAX_THREADS) < 0) return -1;
    if (!add_names(module, "ACTIVATIONS", nnc_activation_names())) return -1;
    if (!add_names(module, "FUNCTIONS", nnc_function_names())) return -1;
    const char *isa = getenv("NNC_ISA");
    if (nnc_select_isa(isa)) return 0;
    nnc_select_isa(NULL);
    PyErr_Format(PyExc_ImportError,
                 "NNC_ISA=%s: no such kernels, or not on this CPU; unset it, or see "
                 "nnc.cpu_info()['available']",
                 isa);
    return -1;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, /* as NumPy */
#endif
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "nnc._core",
    .m_doc = "The C kernels and the training loop of nnc, on NumPy arrays.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
