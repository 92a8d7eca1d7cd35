import gc

import pytest
import torch
import torch.nn.functional as F
from reference import perceptron

from labkit.population import MLP, chunk_size, chunks, evaluate, evaluation_bytes, training_bytes


def task():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(101, 20, generator=generator, dtype=torch.float64), torch.randint(
        0, 5, (101,), generator=generator
    )


def test_scores_equal_a_loop():
    arch, (x, y) = MLP((20, 16, 5)), task()
    params = arch.init(range(6), dtype=torch.float64)
    scores = evaluate(arch, params, x, y, batch=32, members_at_once=4)
    for k in range(6):
        logits = perceptron(params, k)(x)
        torch.testing.assert_close(scores.loss[k], F.cross_entropy(logits, y))
        assert scores.accuracy[k] == (logits.argmax(1) == y).double().mean()


def test_scores_do_not_depend_on_the_pieces_of_members():
    arch, (x, y) = MLP((20, 16, 5)), task()
    params, x = arch.init(range(7)), x.float()
    whole = evaluate(arch, params, x, y)
    for size in (1, 2, 3):
        part = evaluate(arch, params, x, y, members_at_once=size)
        assert torch.equal(part.loss, whole.loss)
        assert torch.equal(part.accuracy, whole.accuracy)


def test_each_member_may_have_its_own_examples():
    arch, (x, y) = MLP((20, 16, 5)), task()
    params = arch.init(range(3), dtype=torch.float64)
    own = torch.stack([x, x + 1, x - 1])
    scores = evaluate(arch, params, own, y, own=True, members_at_once=2)
    for k in range(3):
        torch.testing.assert_close(scores.loss[k], F.cross_entropy(perceptron(params, k)(own[k]), y))


def test_chunks_cover_everyone_once():
    assert [list(r) for r in chunks(5, 2)] == [[0, 1], [2, 3], [4]]


def test_a_network_that_cannot_fit_is_refused_before_allocation():
    giant = MLP((784, 10**9, 10))
    with pytest.raises(MemoryError, match="GB"):
        chunk_size(training_bytes(giant, 128), torch.device("cpu"), count=4)


@pytest.mark.gpu
@pytest.mark.parametrize("width", [64, 512])
def test_the_prediction_bounds_what_is_allocated(width):
    from labkit.population import SGD, Trainer, epoch_batches

    arch, count, device = MLP((784, width, width, 10)), 64, torch.device("cuda")
    x, y = torch.randn(2000, 784, device=device), torch.randint(0, 10, (2000,), device=device)
    params = arch.init([0], device=device)
    params = {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in params.items()}
    gc.collect()  # what an earlier test left over would be freed meanwhile
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    trainer = Trainer(arch, params, SGD(0.1), x, y, epoch_batches(0, 2000, 128, 20))
    trainer.advance(20)
    used = torch.cuda.max_memory_allocated() - before
    predicted = count * training_bytes(arch, 128)
    assert 0.15 * predicted < used <= predicted  # a workspace of the library may have been counted by an earlier test
    evaluate(arch, trainer.params, x, y)
    assert evaluation_bytes(arch, 512) * count < torch.cuda.mem_get_info()[1]


@pytest.mark.gpu
@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("channels", [(16, 32), (5, 7), (8, 40)], ids=str)
def test_the_fused_convolution_equals_the_plain_one(channels, tf32):
    """Against float64: rounding of float32, or of TF32 where it is asked for; members differ and so do images."""
    from labkit.population import CNN
    from labkit.population.precision import matmul_precision

    arch = CNN(channels, (1, 28, 28), 5)
    params = {name: t + 0.1 * torch.randn_like(t) for name, t in arch.init(range(3), device="cuda").items()}
    x = torch.randn(33, 1, 28, 28, device="cuda")
    with torch.no_grad(), matmul_precision(tf32):
        ours = arch.logits(params, x).double()
        exact = arch.logits({name: t.double() for name, t in params.items()}, x.double())
    error = float((ours - exact).norm() / exact.norm())
    assert error < (2e-3 if tf32 else 2e-6)
    if tf32:
        assert error > 1e-6  # the kernel that was asked for has run
