"""Keras on JAX."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
from workloads import Problem

from peers import Job
from peers.keras_model import Model

VERSION = f"{keras.__version__}, JAX {jax.__version__}"


def make(problem: Problem) -> Job:
    """Build the model."""
    jax.config.update("jax_enable_x64", problem.dtype == "float64")
    return Model(problem)
