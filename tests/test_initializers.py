"""Initial values: moments, limits, orthogonality, where the numbers come from."""

import math

import numpy as np
import pytest

from nnc import initializers
from nnc.initializers import Normal, Orthogonal, Tutorial, Uniform

SHAPE = (300, 500)  # n_out, n_in
VARIANCES = {
    "tutorial": 0.1**2,
    "normal": 0.05**2,
    "uniform": 0.05**2 / 3,
    "glorot_uniform": 2 / 800,
    "glorot_normal": 2 / 800,
    "he_uniform": 2 / 500,
    "he_normal": 2 / 500,
    "lecun_uniform": 1 / 500,
    "lecun_normal": 1 / 500,
    "orthogonal": 1 / 500,
    "zeros": 0,
}


def draw(name, seed=5, shape=SHAPE):
    return initializers.resolve(name).draw(initializers.read_random(seed), shape)


@pytest.mark.parametrize("name", VARIANCES)
def test_moments(name):
    """Both within 6 standard errors: the fourth moment is at most 3 variances squared."""
    values, variance = draw(name), VARIANCES[name]
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    assert abs(values.mean()) <= 6 * math.sqrt(variance / values.size)
    assert abs((values**2).mean() - variance) <= 6 * variance * math.sqrt(2 / values.size)


def test_ones():
    np.testing.assert_array_equal(draw("ones"), np.ones(SHAPE))


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("uniform", 0.05),
        ("glorot_uniform", math.sqrt(6 / 800)),
        ("he_uniform", math.sqrt(6 / 500)),
        ("lecun_uniform", math.sqrt(3 / 500)),
    ],
)
def test_limits_of_uniform_numbers(name, limit):
    greatest = np.abs(draw(name)).max()
    assert limit * (1 - 1e-3) < greatest <= limit


@pytest.mark.parametrize(
    ("name", "variance"),
    [("glorot_normal", 2 / 800), ("he_normal", 2 / 500), ("lecun_normal", 1 / 500)],
)
def test_normal_numbers_are_truncated_as_keras_truncates_them(name, variance):
    """Keras divides by .87962566103423978, the standard deviation of what is left."""
    assert initializers.TRUNCATED_STD == pytest.approx(0.87962566103423978, rel=1e-14)
    limit = 2 * math.sqrt(variance) / 0.87962566103423978
    greatest = np.abs(draw(name)).max()
    assert limit * (1 - 1e-3) < greatest <= limit


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4), (4, 1), (1, 1)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonality(shape, gain):
    values = Orthogonal(gain).draw(np.random.default_rng(1), shape)
    assert values.shape == shape
    assert values.flags.c_contiguous
    gram = values @ values.T if shape[0] <= shape[1] else values.T @ values
    np.testing.assert_allclose(gram, gain**2 * np.eye(min(shape)), atol=1e-14 * gain**2 * 8)


def test_orthogonal_matrices_have_no_preferred_signs():
    """Without the correction of signs, LAPACK's diagonal is negative more often than not."""
    random = np.random.default_rng(2)
    diagonals = [np.diag(Orthogonal().draw(random, (3, 3))) for _ in range(1000)]
    assert abs(np.mean(np.array(diagonals) > 0) - 0.5) < 6 * 0.5 / math.sqrt(3000)


@pytest.mark.parametrize("name", initializers.KINDS)
def test_the_same_seed_gives_the_same_numbers(name):
    first = draw(name, 3, (6, 4))
    np.testing.assert_array_equal(first, draw(name, 3, (6, 4)))
    np.testing.assert_array_equal(first, draw(name, np.int64(3), (6, 4)))
    np.testing.assert_array_equal(first, draw(name, np.random.default_rng(3), (6, 4)))
    if name not in ("zeros", "ones"):
        assert (first != draw(name, 4, (6, 4))).any()
        assert (first != draw(name, None, (6, 4))).any()
        assert (first != draw(name, [3, 4], (6, 4))).any()


@pytest.mark.parametrize("name", initializers.KINDS)
def test_a_random_state_moves_on(name):
    random = np.random.RandomState(3)
    first = draw(name, random, (6, 4))
    assert first.shape == (6, 4)
    if name not in ("zeros", "ones"):
        assert (first != draw(name, random, (6, 4))).any()
    np.testing.assert_array_equal(first, draw(name, np.random.RandomState(3), (6, 4)))


def test_the_tutorials_numbers_and_plain_formulas():
    shape = (7, 3)
    expected = np.random.RandomState(99).randn(*shape) * 0.1
    np.testing.assert_array_equal(Tutorial().draw(np.random.RandomState(99), shape), expected)
    expected = 0.3 * np.random.default_rng(1).standard_normal(shape)
    np.testing.assert_array_equal(Normal(0.3).draw(np.random.default_rng(1), shape), expected)
    expected = np.random.default_rng(1).uniform(-0.3, 0.3, shape)
    np.testing.assert_array_equal(Uniform(0.3).draw(np.random.default_rng(1), shape), expected)


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (-1, ValueError, "seed: expected at least 0, got -1"),
        (1.5, TypeError, "seed: expected an integer, a NumPy Generator"),
        ("1", TypeError, "seed: expected an integer"),
        (True, TypeError, "seed: expected an integer"),
        ([], ValueError, "Seed must be non-empty"),
        (np.random, TypeError, "seed: expected an integer"),
    ],
)
def test_bad_seeds(seed, error, message):
    with pytest.raises(error, match=message):
        initializers.read_random(seed)


def test_names_and_dicts():
    for name, cls in initializers.KINDS.items():
        assert initializers.resolve(name) == initializers.resolve(cls) == cls()
        assert initializers.from_config(initializers.to_config(cls())) == cls()
    assert initializers.resolve("random_normal") == Normal()
    assert initializers.from_config({"kind": "normal", "stddev": 2}) == Normal(2.0)
    with pytest.raises(ValueError, match=r"initializer: expected one of.*did you mean 'he_normal'"):
        initializers.resolve("He-Normal")
    with pytest.raises(TypeError, match="initializer: Initializer is what others derive from"):
        initializers.resolve(initializers.Initializer)
    with pytest.raises(ValueError, match=r"Normal\(stddev\): expected a finite number at least 0"):
        Normal(-1)
    with pytest.raises(ValueError, match=r"Uniform\(limit\)"):
        Uniform(math.inf)
    assert initializers.resolve_bias("normal") == Normal()
    with pytest.raises(ValueError, match="bias_initializer: orthogonal depends on a number of in"):
        initializers.resolve_bias("orthogonal")
