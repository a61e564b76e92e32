"""Data: splits that no seed moves, and mini-batches equal to a plain per-image reference."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from workloads.data import digits, sets
from workloads.data.configs import Digits
from workloads.data.loader import Loader, crops
from workloads.data.split import Split, stratified
from workloads.streams import NAMES, Streams, stream_seed

SPLIT_DIGEST = "30ba49a0b1d53d2be972420c6a5c622f63d50d11a64f75d86af33385e704e7b4"


def load() -> sets.DataSet:
    return sets.load(Digits(), Path("nowhere"), torch.device("cpu"))


def test_the_split_is_the_documented_one() -> None:
    train, validation, test = digits.load()
    assert (len(train), len(validation), len(test)) == (1212, 135, 450)
    # a moved split silently changes every result: this digest is of the labels and pixels in order
    digest = hashlib.sha256()
    for split in (train, validation, test):
        digest.update((split.x_NCHW * 16).to(torch.uint8).numpy().tobytes())
        digest.update(split.y_N.to(torch.uint8).numpy().tobytes())
    assert digest.hexdigest() == SPLIT_DIGEST


def test_the_file_read_directly_is_what_load_digits_gives() -> None:
    from sklearn.datasets import load_digits

    x_NHW, y_N = digits.embedded()
    bunch = load_digits()
    assert np.array_equal(x_NHW, bunch.images)
    assert np.array_equal(y_N, bunch.target)


def test_the_split_is_stratified_and_disjoint() -> None:
    parts = digits.load()
    whole = torch.cat([part.y_N for part in parts])
    for part in parts:
        share_K = torch.bincount(whole).double() * len(part) / len(whole)
        assert (torch.bincount(part.y_N) - share_K).abs().max() <= 1
    labels = [0, 1, 2, 0, 1, 2, 0, 0, 0]
    positions = stratified(labels, (3, 2), salt="x")
    assert sorted(i for part in positions for i in part) == list(range(9))


def test_more_images_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most 3 images"):
        stratified([0, 1, 2], (2, 2), salt="x")


def test_images_are_normalised_by_the_training_split() -> None:
    data = load()
    x_NCHW = data.train.x_NCHW.double()
    assert x_NCHW.mean().abs() < 1e-6
    assert abs(x_NCHW.std(correction=0).item() - 1) < 1e-6
    raw_train, _, raw_test = digits.load()
    expected = (raw_test.x_NCHW - raw_train.x_NCHW.mean()) / raw_train.x_NCHW.std(correction=0)
    torch.testing.assert_close(data.test.x_NCHW, expected)


def plain_batch(
    split: Split, order: list[int], *, padding: int, flips: bool, stream: torch.Generator
) -> list[torch.Tensor]:
    """The same mini-batch image by image: pad, cut, mirror."""
    _, channels, height, width = split.x_NCHW.shape
    images = []
    if padding:
        shifts = torch.randint(0, 2 * padding + 1, (2, len(order)), generator=stream).tolist()
    else:
        shifts = [[0] * len(order)] * 2
    mirrored = torch.randint(0, 2, (len(order),), generator=stream).tolist() if flips else [0] * len(order)
    for k, i in enumerate(order):
        padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding)
        padded[:, padding : padding + height, padding : padding + width] = split.x_NCHW[i]
        top, left = shifts[0][k], shifts[1][k]
        image = padded[:, top : top + height, left : left + width]
        images.append(torch.stack([row.flip(-1) for row in image.unbind(1)], 1) if mirrored[k] else image)
    return images


@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("flips", [False, True])
def test_batches_equal_the_plain_reference(padding: int, flips: bool) -> None:
    split = Split(x_NCHW=torch.randn(11, 2, 5, 4), y_N=torch.arange(11))
    loader = Loader(split, batch_size=4, padding=padding, flips=flips)
    assert len(loader) == 3
    order = loader.order(Streams.of(0).order)
    fast, slow = Streams.of(3).augmentation, Streams.of(3).augmentation
    seen: list[int] = []
    for position in range(len(loader)):
        x_BCHW, y_B = loader.batch(order, position, fast)
        at = order[position * 4 : position * 4 + 4].tolist()
        expected = plain_batch(split, at, padding=padding, flips=flips, stream=slow)
        assert torch.equal(x_BCHW, torch.stack(expected))
        assert y_B.tolist() == at
        seen += at
    assert sorted(seen) == list(range(11))


def test_crops_share_one_padded_copy() -> None:
    x_NCHW = torch.randn(3, 1, 4, 4)
    view = crops(x_NCHW, 1)
    assert view.shape == (3, 3, 3, 1, 4, 4)
    assert view.untyped_storage().nbytes() == 3 * 6 * 6 * 4
    assert torch.equal(view[:, 1, 1], x_NCHW)


def test_streams_differ_by_name_and_seed_and_do_not_disturb_each_other() -> None:
    seeds = [stream_seed(name, seed) for name in NAMES for seed in range(50)]
    assert len(set(seeds)) == len(seeds)
    first, second = Streams.of(7), Streams.of(7)
    torch.rand(100, generator=first.augmentation)
    assert torch.equal(torch.rand(5, generator=first.order), torch.rand(5, generator=second.order))


def test_streams_continue_from_their_state() -> None:
    streams, copy = Streams.of(1), Streams.of(2)
    torch.rand(13, generator=streams.order)
    copy.set_state(streams.state())
    for name in NAMES:
        ahead, behind = getattr(streams, name), getattr(copy, name)
        assert torch.equal(torch.rand(5, generator=ahead), torch.rand(5, generator=behind))
