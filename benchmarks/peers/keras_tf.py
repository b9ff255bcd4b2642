"""Keras on TensorFlow."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import tensorflow as tf
from workloads import Problem

from peers import Job
from peers.keras_model import Model

VERSION = f"{keras.__version__}, TensorFlow {tf.__version__}"

FEWER = {"W2": 10}


def make(problem: Problem) -> Job:
    """Build the model."""
    tf.config.threading.set_intra_op_parallelism_threads(problem.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return Model(problem)
