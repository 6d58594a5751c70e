"""Dense layers with packed weights against torch's own."""

import copy
import pickle
import platform

import pytest
import torch
from torch import nn

from fgr_retriever.model.linear import Linear, use_packed

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])


@pytest.fixture
def plain():
    torch.manual_seed(0)
    return nn.Linear(48, 20).requires_grad_(False)


def test_weights_are_packed_where_it_was_measured(plain):
    made = Linear.of(plain)
    made(torch.ones(2, 48))
    measured = platform.machine() in {"x86_64", "AMD64"} and torch.backends.mkldnn.is_available()
    assert (made._packed[1] is not None) == measured


@DTYPES
@pytest.mark.parametrize("shape", [(48,), (0, 48), (1, 48), (3, 48), (2, 5, 48), (2, 0, 48), (2, 3, 4, 48)])
def test_any_shape_gives_what_torch_gives(plain, dtype, shape):
    plain.to(dtype)
    values = torch.randn(shape).to(dtype)
    torch.testing.assert_close(Linear.of(plain)(values), plain(values))


@DTYPES
def test_values_in_any_order_of_memory_and_layers_without_bias(dtype):
    plain = nn.Linear(48, 20, bias=False, dtype=dtype).requires_grad_(False)
    values = torch.randn(48, 7, 2).to(dtype).permute(2, 1, 0)
    torch.testing.assert_close(Linear.of(plain)(values), plain(values))


def test_weights_that_change_are_seen(plain):
    made, values = Linear.of(plain), torch.randn(3, 48)
    before = made(values)
    plain.weight.mul_(2)
    torch.testing.assert_close(made(values), plain(values))
    made.load_state_dict({"weight": torch.zeros(20, 48), "bias": torch.zeros(20)})
    assert not made(values).any()
    assert before.any()


def test_another_precision_is_another_product(plain):
    made = Linear.of(plain)
    made(torch.ones(1, 48))
    made.to(torch.float64)
    values = torch.randn(3, 48, dtype=torch.float64)
    torch.testing.assert_close(made(values), plain.double()(values))


def test_gradients_flow(plain):
    made = Linear.of(plain.requires_grad_(True))
    with torch.inference_mode():
        made(torch.ones(1, 48))
    values = torch.ones(2, 48, requires_grad=True)
    made(values).sum().backward()
    torch.testing.assert_close(values.grad, plain.weight.detach().sum(0).expand(2, 48))
    assert made.weight.grad is not None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_are_their_own(plain, copied):
    made, values = Linear.of(plain), torch.randn(3, 48)
    told = made(values)
    other = copied(made)
    made.weight.zero_()
    torch.testing.assert_close(other(values), told)


def test_a_model_keeps_its_names_and_results():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 6), nn.ModuleDict({"inner": nn.Linear(6, 6)})["inner"], nn.Tanh()).eval()
    values = torch.randn(4, 8)
    with torch.inference_mode():
        told, names = model(values), list(model.state_dict())
        use_packed(model)
        torch.testing.assert_close(model(values), told)
    assert list(model.state_dict()) == names
    assert [type(one) for one in model] == [Linear, Linear, nn.Tanh]
    assert not model[0].training


def test_large_models_stay_as_they_are(monkeypatch):
    monkeypatch.setattr("fgr_retriever.model.linear._MOST_WEIGHTS", 71)
    model = nn.Sequential(nn.Linear(8, 8))
    use_packed(model)
    assert type(model[0]) is nn.Linear
