import pytest
import torch

from labkit.population import epoch_batches, member_batches


def test_an_epoch_uses_each_example_at_most_once():
    batches = epoch_batches(0, 10, 3, 6)
    assert batches.shape == (6, 3)
    for epoch in (batches[:3], batches[3:]):
        assert len(set(epoch.flatten().tolist())) == 9
    assert not torch.equal(batches[:3], batches[3:])


def test_a_longer_order_begins_with_the_shorter_one():
    assert torch.equal(epoch_batches(5, 100, 8, 40)[:17], epoch_batches(5, 100, 8, 17))


def test_members_follow_their_own_seeds():
    both = member_batches([3, 4], 50, 5, 12)
    assert torch.equal(both[:, 0], epoch_batches(3, 50, 5, 12))
    assert torch.equal(both[:, 1], epoch_batches(4, 50, 5, 12))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_larger_than_the_data_is_refused(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        epoch_batches(0, 10, batch_size, 1)
