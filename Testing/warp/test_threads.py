"""Work side by side: results in order, errors passed on, torch's own threads as they were."""

import pytest
import torch

from DiffuseMorphCore.warp.threads import parallel_map

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items_without_gradients(threads):
    start = torch.ones(5, requires_grad=True)
    found = list(parallel_map(lambda factor: (start * factor, torch.get_num_threads()), range(20), CPU))
    assert [float(value[0]) for value, _ in found] == list(range(20))
    assert not any(value.requires_grad for value, _ in found)
    assert {inside for _, inside in found} == {1}
    assert torch.get_num_threads() == threads


def test_an_error_arrives_where_the_results_are_asked_for(threads):
    def fail(item):
        if item == 2:
            raise ValueError("two")
        return item

    results = parallel_map(fail, range(9), CPU)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert torch.get_num_threads() == threads


def test_who_stops_asking_gets_the_threads_back(threads):
    results = parallel_map(lambda item: item, range(9), CPU)
    assert next(results) == 0
    results.close()
    assert torch.get_num_threads() == threads
