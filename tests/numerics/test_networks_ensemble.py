"""The ensemble's tree of prefixes against its plain form, a network for each member.

Shapes: M members, N images, K classes.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

from workloads.networks.build import build, initialise
from workloads.networks.configs import PATHS, Component, PathEnsemble
from workloads.networks.outputs import combine, cross_entropy_sum
from workloads.networks.path_ensemble import SharedBlock, unrolled

SHAPE = {"classes": 10, "in_channels": 1, "input_size": 8, "width": 0.5, "depth": 11}
SUBSETS = ["all", "without_deepest", ("LLL",), ("RRR", "LLL"), ("LRL", "LRR", "RLL")]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Sixteen images of 8x8 gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ensemble(seed=0, dtype=torch.float32, **changes):
    net = build(PathEnsemble(**{**SHAPE, **changes})).to(dtype)
    initialise(net, torch.Generator().manual_seed(seed))
    return net


def batch(seed=0, dtype=torch.float32, images=16):
    generator = torch.Generator().manual_seed(seed)
    x_NCHW = torch.randn(images, 1, 8, 8, generator=generator, dtype=dtype)
    return x_NCHW, torch.randint(10, (images,), generator=generator)


def statistics(net):
    """(path, layer) -> running mean and variance, read from the tree."""
    found = {}
    for path in net.members:
        stem = net.stem.bn
        found[path, "stem"] = stem.running_mean.clone(), stem.running_var.clone()
        for group, letter in enumerate(path):
            for i, layer in enumerate(net.groups[group][letter].layers):
                own = layer.statistics[path[: group + 1]]
                found[path, f"{group}.{i}"] = own.mean.clone(), own.variance.clone()
    return found


def plain_statistics(members):
    found = {}
    for path, member in members.items():
        found[path, "stem"] = member.stem.bn.running_mean, member.stem.bn.running_var
        for group, row in enumerate(member.groups):
            for i, layer in enumerate(row):
                found[path, f"{group}.{i}"] = layer.bn.running_mean, layer.bn.running_var
    return found


def train(net, forward, *, steps, dtype):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    for step in range(steps):
        x_NCHW, y_N = batch(step, dtype)
        optimizer.zero_grad()
        logits_MNK = forward(x_NCHW)
        cross_entropy_sum(logits_MNK, y_N).backward()
        optimizer.step()
    return logits_MNK.detach()


@pytest.mark.parametrize("members", SUBSETS, ids=str)
def test_one_step_of_training_equals_the_plain_form(members) -> None:
    tree = ensemble(members=members)
    separate = unrolled(copy.deepcopy(tree))
    x_NCHW, _ = batch()
    ours_MNK = tree.train()(x_NCHW)
    plain_MNK = torch.stack([net.train()(x_NCHW) for net in separate.values()])
    assert torch.equal(ours_MNK, plain_MNK)
    ours, reference = statistics(tree), plain_statistics(separate)
    assert ours.keys() == reference.keys()
    for key, (mean, variance) in ours.items():
        assert torch.equal(mean, reference[key][0])
        assert torch.equal(variance, reference[key][1])
        assert not torch.equal(variance, torch.ones_like(variance))


@pytest.mark.parametrize("members", SUBSETS, ids=str)
def test_gradients_and_a_training_equal_the_plain_form(members) -> None:
    tree = ensemble(members=members, dtype=torch.float64, bn_momentum=0.1, depth=8)
    twin = copy.deepcopy(tree)
    separate = unrolled(twin)
    for steps in (1, 2):  # gradients of the first step, then of the last of two more
        ours_MNK = train(tree, tree, steps=steps, dtype=torch.float64)
        plain_MNK = train(
            twin,
            lambda x: torch.stack([net(x) for net in separate.values()]),
            steps=steps,
            dtype=torch.float64,
        )
        torch.testing.assert_close(ours_MNK, plain_MNK, rtol=1e-10, atol=1e-10)
        pairs = zip(tree.named_parameters(), twin.named_parameters(), strict=True)
        for (name, ours), (_, plain) in pairs:
            assert ours.grad.abs().max() > 0, name
            torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)
    reference = plain_statistics(separate)
    for key, (mean, variance) in statistics(tree).items():
        torch.testing.assert_close(mean, reference[key][0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(variance, reference[key][1], rtol=1e-10, atol=1e-10)


def trained(**changes):
    net = ensemble(**changes)
    train(net, net, steps=6, dtype=torch.float32)
    return net


def test_evaluation_equals_the_plain_form_to_the_bit() -> None:
    net = trained().eval()
    x_NCHW, _ = batch(9)
    with torch.no_grad():
        plain_MNK = torch.stack([member(x_NCHW) for member in unrolled(net).values()])
        assert torch.equal(net(x_NCHW), plain_MNK)


@pytest.mark.parametrize(
    "wanted", [("RRR",), ("LLR", "LLL"), PATHS[::-1], PATHS[:7], ("LRR", "LRR")], ids=str
)
def test_some_members_at_test_time_in_the_order_asked(wanted) -> None:
    net = trained().eval()
    x_NCHW, _ = batch(9)
    whole_MNK = net(x_NCHW)
    assert torch.equal(net(x_NCHW, members=wanted), whole_MNK[[PATHS.index(path) for path in wanted]])


def test_members_that_are_none() -> None:
    net = ensemble(members="without_deepest").eval()
    x_NCHW, _ = batch()
    assert net.members == PATHS[:7]
    with pytest.raises(ValueError, match=r"must be some of LLL, .*LRR; got RRR"):
        net(x_NCHW, members=("LLL", "RRR"))
    with pytest.raises(ValueError, match="got none"):
        net(x_NCHW, members=())


def test_statistics_are_each_members_own() -> None:
    own = statistics(trained())
    last_of_R = {path: own[path, "2.0"][0] for path in PATHS if path.endswith("R")}
    for one in last_of_R:
        for other in last_of_R:
            assert torch.equal(last_of_R[one], last_of_R[other]) == (one == other)


def test_one_shared_set_of_statistics_would_be_wrong() -> None:
    net = trained(bn_momentum=0.5).eval()
    x_NCHW, _ = batch(9)
    before_MNK = net(x_NCHW)
    for group in net.groups:
        for block in group.values():
            for layer in block.layers:
                first, *others = layer.statistics.values()
                for other in others:
                    other.load_state_dict(first.state_dict())
    after_MNK = net(x_NCHW)
    assert not torch.allclose(before_MNK[-1], after_MNK[-1], atol=1e-2)


@pytest.mark.parametrize(
    ("members", "evaluations"),
    [("all", 14), ("without_deepest", 13), (("LLL",), 3), (("RRR", "RRL"), 4), (("LLL", "RRR"), 6)],
)
def test_each_prefix_is_computed_once(members, evaluations) -> None:
    net = ensemble(members=members)
    ran = []
    for name, part in net.named_modules():
        if isinstance(part, SharedBlock):
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    net(batch()[0])
    assert len(ran) == evaluations


def test_training_some_members_leaves_the_others_statistics() -> None:
    net = ensemble()
    before = statistics(net)
    net.train()(batch()[0], members=("LRR",))
    after = statistics(net)
    changed = {
        (path, layer)
        for path, layer in after
        if not torch.equal(after[path, layer][0], before[path, layer][0])
    }
    assert {layer for path, layer in changed if path == "LLL"} == {"stem", "0.0"}  # the common beginning
    assert {layer for path, layer in changed if path == "RRR"} == {"stem"}
    assert {layer for path, layer in changed if path == "LRR"} == {layer for p, layer in after if p == "LRR"}


def test_a_member_is_the_component_network() -> None:
    net = trained().eval()
    x_NCHW, _ = batch(9)
    member = unrolled(net)["RLR"].eval()
    component = build(Component(path="RLR", **SHAPE))
    component.load_state_dict(member.state_dict())
    assert torch.equal(component.eval()(x_NCHW), net(x_NCHW, members=("RLR",))[0])


def test_the_plain_form_shares_parameters_and_owns_statistics() -> None:
    net = ensemble()
    separate = unrolled(net)
    parameters = {id(each) for each in net.parameters()}
    used = {id(each) for member in separate.values() for each in member.parameters()}
    assert used == parameters
    buffers = [each.data_ptr() for member in separate.values() for each in member.buffers() if each.dim()]
    assert len(set(buffers)) == len(buffers)
    assert not set(buffers) & {each.data_ptr() for each in net.buffers()}


@pytest.mark.parametrize("depth", [5, 8, 26])
def test_the_state_dict_restores_everything(depth) -> None:
    net = trained(depth=depth).eval()
    other = ensemble(seed=1, depth=depth).eval()
    x_NCHW, _ = batch(9)
    assert not torch.equal(net(x_NCHW), other(x_NCHW))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(x_NCHW), other(x_NCHW))


# --- losses and votes -----------------------------------------------------------------------------


def test_the_loss_is_the_sum_over_members() -> None:
    logits_MNK = torch.randn(8, 16, 10, dtype=torch.float64, requires_grad=True)
    _, y_N = batch()
    by_hand = sum(
        -float(logits_MNK[m, n].detach().log_softmax(0)[y_N[n]]) / 16 for m in range(8) for n in range(16)
    )
    loss = cross_entropy_sum(logits_MNK, y_N)
    assert float(loss.detach()) == pytest.approx(by_hand, rel=1e-12)
    (gradient_MNK,) = torch.autograd.grad(loss, logits_MNK)
    (alone_NK,) = torch.autograd.grad(F.cross_entropy(logits_MNK[3], y_N), logits_MNK)
    torch.testing.assert_close(gradient_MNK[3], alone_NK[3])


def test_the_loss_of_a_single_net_is_the_mean() -> None:
    logits_NK = torch.randn(16, 10)
    _, y_N = batch()
    assert torch.equal(cross_entropy_sum(logits_NK, y_N), F.cross_entropy(logits_NK, y_N))


def test_both_votes_and_where_they_differ() -> None:
    # One member is very sure of class 0; two are mildly for class 1.
    logits_MNK = torch.tensor([[[9.0, 0.0]], [[0.0, 2.0]], [[0.0, 2.0]]], dtype=torch.float64)
    sure, mild = 1 / (1 + torch.e**-9), 1 / (1 + torch.e**2)
    mean = (sure + 2 * mild) / 3
    assert combine(logits_MNK, "probabilities")[0, 0].item() == pytest.approx(mean)
    assert combine(logits_MNK, "logits")[0, 0].item() == pytest.approx(1 / (1 + torch.e ** (-5 / 3)))
    assert combine(logits_MNK, "probabilities").argmax() != combine(logits_MNK, "logits").argmax()


@pytest.mark.parametrize("vote", ["probabilities", "logits"])
def test_the_net_votes_as_configured_with_all_or_some(vote) -> None:
    net = trained(vote=vote).eval()
    logits_MNK = net(batch(9)[0])
    for rows in ([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6], [5]):
        probabilities_NK = net.vote(logits_MNK[rows])
        assert torch.equal(probabilities_NK, combine(logits_MNK[rows], vote))
        torch.testing.assert_close(probabilities_NK.sum(-1), torch.ones(16))
