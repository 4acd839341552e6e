"""Self-similarity descriptors against their definition."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from DiffuseMorphCore.similarity import descriptors


@pytest.mark.parametrize("ndim", [2, 3])
def test_self_similarity_is_that_of_the_definition(ndim):
    """Straight from the definition: one voxel, one pair of neighbours and one patch after the other, in float64."""
    torch.manual_seed(5)
    shape, patch = (6, 7, 5)[:ndim], 0.8
    image = torch.rand(1, 1, *shape, dtype=torch.float64)
    places = list(itertools.product(*map(range, shape)))
    at = {place: float(image[(0, 0, *place)]) for place in places}
    steps = [tuple(sign if axis == other else 0 for other in range(ndim)) for axis in range(ndim) for sign in (1, -1)]
    pairs = [(a, b) for a, b in itertools.combinations(steps, 2) if sum(x * y for x, y in zip(a, b)) == 0]
    reach = range(-int(3 * patch + 0.5), int(3 * patch + 0.5) + 1)

    def seen(place, step):
        return at[tuple(min(max(p + s, 0), n - 1) for p, s, n in zip(place, step, shape))]

    distance = {}
    for place, (a, b) in itertools.product(places, pairs):
        total = norm = 0.0
        for offset in itertools.product(reach, repeat=ndim):
            other = tuple(p + o for p, o in zip(place, offset))
            if other in at:
                weight = math.exp(-0.5 * sum(o * o for o in offset) / patch**2)
                total += weight * (seen(other, a) - seen(other, b)) ** 2
                norm += weight
        distance[place, (a, b)] = total / norm
    lowest = {place: min(distance[place, pair] for pair in pairs) for place in places}
    variance = {place: sum(distance[place, pair] - lowest[place] for pair in pairs) / len(pairs) for place in places}
    typical = sum(variance.values()) / len(places)
    found = descriptors(image.float() * 5 - 3, patch=patch)
    assert found.shape == (1, len(pairs), *shape) and len(pairs) == {2: 4, 3: 12}[ndim]
    for place in places:
        v = min(max(variance[place], 1e-3 * typical), 1e3 * typical)
        wanted = sorted(math.exp(-(distance[place, pair] - lowest[place]) / v) for pair in pairs)
        torch.testing.assert_close(
            found[(0, slice(None), *place)].sort().values.double(),
            torch.tensor(wanted, dtype=torch.float64),
            atol=2e-3,
            rtol=0,
        )
