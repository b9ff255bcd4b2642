"""The order of samples is a function of seed and epoch, though engines keep it."""

import copy
import os
import pickle
import signal

import numpy as np
import pytest
from batches import SSE, engine, layers_of
from hypothesis import given
from hypothesis import strategies as st
from sample_networks import circles

from nnc import Dense, DivergenceError, Network

M = 50
X, Y = np.zeros((M, 1)), np.zeros((M, 1))
LINE = layers_of([1, 1], "identity")
FAR = 20_000_000  # shuffles: more of two samples than one call can do between two polls


class Interruption(Exception):
    """What a loss or a callback raises."""


def line():
    return engine(LINE, SSE, np.zeros(2))


def seen_by(ours, m, epochs, seed, first, broken_at=None):
    """The samples in the order in which the loss sees them, batch by batch."""
    seen = []

    def loss(samples, y_hat):
        if len(seen) == broken_at:
            raise Interruption
        seen.append(samples)
        return 0.0, np.zeros_like(y_hat)

    try:
        ours.fit(X[:m], Y[:m], epochs, 8, seed=seed, first_epoch=first, custom=loss)
    except Interruption:
        assert len(seen) == broken_at
    return [i for samples in seen for i in samples]


def orders(m, epochs, seed, first):
    """What they should be, one epoch after the other."""
    order, random, result = np.arange(m), np.random.RandomState(seed), []
    for epoch in range(first + epochs):
        if seed is not None:
            random.shuffle(order)
        if epoch >= first:
            result += order.tolist()
    return result


@given(
    st.lists(
        st.tuples(
            st.sampled_from([M, M, M, M, 20, 1, 0]), st.integers(0, 3),
            st.sampled_from([3, 3, 3, 3, 4, None]), st.sampled_from([0, 0, 0, 1, 3, -1, -4]),
            st.sampled_from([None, None, 0, 3, 9]),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_calls(calls):
    """Other seeds and samples between, calls that end amid an epoch, steps back and ahead."""
    ours, at = line(), 0
    for m, epochs, seed, jump, broken_at in calls:
        first = max(0, at + jump)
        seen = seen_by(ours, m, epochs, seed, first, broken_at)
        expected = orders(m, epochs, seed, first)
        assert seen == (expected if broken_at is None else expected[: len(seen)])
        at = first + len(seen) // max(m, 1)


def test_shuffles_are_not_repeated():
    """Each call would take a multiple of the time between two polls."""
    ours, polls = line(), []

    def fit(first, seed=3):
        before = len(polls)
        ours.fit(X[:2], Y[:2], seed=seed, first_epoch=first, progress=lambda *_: polls.append(1))
        return len(polls) - before

    assert fit(FAR) > 0
    assert sum(fit(FAR + 1 + i) for i in range(20)) < 3
    assert sum(fit(0, seed=None) for i in range(20)) < 3
    assert fit(FAR + 21) < 3
    assert fit(FAR + 21) < 3  # the same epoch again
    assert fit(FAR + 20) > 0


def test_shuffles_that_were_broken_off_go_on():
    ours, big, calls = line(), np.zeros((1_000_000, 1), np.int8), 1
    stops = iter(range(4))  # a stop each
    options = {"seed": 3, "first_epoch": 20, "progress": lambda *_: next(stops, None) is not None}
    while len(ours.fit(big, big, 1, len(big), **options)[0]) == 0:
        calls += 1
    assert calls > 1
    order, random = np.arange(len(big)), np.random.RandomState(3)
    for _ in range(22):
        random.shuffle(order)
    seen = []

    def loss(samples, y_hat):
        seen.extend(samples)
        return 0.0, np.zeros_like(y_hat)

    ours.fit(big, big, 1, len(big), seed=3, first_epoch=21, custom=loss)
    assert (np.array(seen) == order).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork():
    ours = line()
    seen_by(ours, M, 3, 3, 0)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = seen_by(ours, M, 2, 3, 3) != orders(M, 2, 3, 3)
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert seen_by(ours, M, 2, 3, 3) == orders(M, 2, 3, 3)


# ------------------------------------------------------------------------------- networks

POINTS, LABELS = circles(90)


def make(optimizer="adam"):
    return Network([Dense(6, "tanh"), Dense(1, "sigmoid")], 2, optimizer=optimizer, seed=1)


def fit(network, epochs=1, **options):
    network.fit(POINTS, LABELS, epochs=epochs, batch_size=16, **options)
    return network


def same_bits(a, b):
    assert (a.engine.params == b.engine.params).all()


def test_calls_of_one_epoch_are_one_call():
    ours, other = make(), make()
    for _ in range(9):
        fit(ours)
        fit(other, X_val=POINTS, y_val=LABELS, callbacks=lambda epoch, logs: None)
    same_bits(ours, fit(make(), 9))
    same_bits(ours, other)


def pickled(network):
    return pickle.loads(pickle.dumps(network))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, Network.copy, pickled])
def test_copies_go_on(duplicate):
    ours = fit(make(), 3)
    other = duplicate(ours)
    fit(fit(other), 2)
    fit(ours, 3)
    same_bits(ours, fit(make(), 6))
    same_bits(ours, other)


def test_steps_between():
    ours, other = make(), make()
    for network in (ours, other):
        fit(network)
        network.step(POINTS[:7], LABELS[:7])
        if network is other:  # whose engine has shuffled for somebody else
            network.engine.fit(POINTS, LABELS.reshape(-1, 1), 0, 9, "adam", seed=77)
        network.partial_fit(POINTS, LABELS, batch_size=9)
        fit(network, 2)
    same_bits(ours, other)


@pytest.mark.parametrize("error", [Interruption, KeyboardInterrupt])
@pytest.mark.parametrize("epoch", [0, 2])
def test_exceptions_in_callbacks(error, epoch):
    def fail(at, logs):
        if at == epoch:
            raise error

    ours = make()
    with pytest.raises(error):
        fit(ours, 5, callbacks=fail)
    fit(ours, 5 - ours.epochs_trained)
    same_bits(ours, fit(make(), 5))


def test_ctrl_c_amid_epochs():
    """What an interrupted epoch has changed is changed; the next call begins with that epoch."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    ours, rows = make(), np.repeat(POINTS, 3000, axis=0)
    labels = np.repeat(LABELS, 3000)
    try:
        for i in range(8):
            signal.setitimer(signal.ITIMER_REAL, 0.01 + 0.02 * i)
            with pytest.raises(KeyboardInterrupt):
                ours.fit(rows, labels, epochs=1000, batch_size=16)
            signal.setitimer(signal.ITIMER_REAL, 0)
            other = pickled(ours)
            for network in (ours, other):
                network.fit(rows, labels, epochs=1, batch_size=16)
            same_bits(ours, other)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_divergence():
    def spoil(epoch, logs):
        if epoch:
            ours.engine.params[:] = np.nan

    ours = fit(make("sgd"), 3)
    with pytest.raises(DivergenceError):
        fit(ours, 9, callbacks=spoil)
    other = pickled(ours)
    same_bits(fit(ours, 2), fit(other, 2))


def test_checkpoints(tmp_path):
    def fail(epoch, logs):
        if epoch in stops:
            stops.remove(epoch)
            raise Interruption

    ours = fit(make(), 2)
    for stops in ([1, 4], [3]):  # calls of the same network, and of a new one
        path = tmp_path / str(len(stops))
        network = copy.deepcopy(ours)
        for _ in range(2 * len(stops)):
            try:
                fit(network, 7, callbacks=fail, checkpoint=path, checkpoint_every=1)
                break
            except Interruption:
                network = network if len(stops) == 1 else make()
        same_bits(network, fit(make(), 9))
