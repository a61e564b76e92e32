"""How each paper trained, as named configurations: what a study takes with `recipe: NAME`. Torch-free.

A recipe leaves `network` and `data` at the workload's defaults, so two things that papers chose together with
their training stay with the study: the data set's augmentation, and the network's constants of batch
normalisation (`network.bn_momentum`, `network.bn_eps`). Each recipe's comments name both where the paper's
differ from the defaults.

"knowledge" marks values that the papers of this repository only cite, and that are written from general
knowledge of the cited ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from workloads.configs import TrainConfig
from workloads.initialisation import He, Xavier
from workloads.recipe import SGD
from workloads.schedules import Every, Milestones, RemainingHalves, Step, Warmup

_ZHAO: Final = TrainConfig(
    optimizer=SGD(
        lr=0.1,  # section 6.2
        momentum=0.9,  # section 6.2
        nesterov=True,  # section 6.2
        weight_decay=1e-4,  # section 6.2
        decay="all",  # released code: biases, gamma and beta too
    ),
    schedule=Step(at=(0.5, 0.75, 0.875), factor=0.1),  # section 6.2: at 1/2, 3/4 and 7/8 of the epochs
    epochs=400,  # section 6.2, CIFAR
    batch_size=64,  # section 6.2
    ghost_batch=32,  # section 6.2: two GPUs; released code: statistics of each device alone
    initialisation=He(),  # section 6.2, its reference 7; last layer: released code
)  # released code: bn_momentum 0.01 for the weight-shared ensembles, 0.1 elsewhere; CIFAR "plus"

_ZHAO_IMAGENET: Final = TrainConfig(
    optimizer=SGD(
        lr=0.1,  # section 6.5
        momentum=0.9,  # section 6.5
        nesterov=True,  # not said there; as in section 6.2
        weight_decay=1e-4,  # section 6.5
        decay="all",  # released code
    ),
    schedule=Every(epochs=30, factor=0.1),  # section 6.5
    epochs=100,  # section 6.5
    batch_size=256,  # section 6.5
    ghost_batch=32,  # section 6.5: 8 GPUs, 32 images each
    initialisation=He(),
)

_HE_PREACTIVATION: Final = TrainConfig(
    optimizer=SGD(
        lr=0.1,  # knowledge
        momentum=0.9,  # knowledge
        nesterov=False,  # knowledge: their framework, Caffe, had plain momentum by default
        weight_decay=1e-4,  # knowledge
        decay="all",
    ),
    # knowledge: 0.01 for the first 400 steps, then 0.1; by ten after 32,000 and 48,000
    schedule=Milestones(
        steps=(32_000, 48_000), factor=0.1, warmup=Warmup(form="constant", steps=400, start=0.1)
    ),
    epochs=164,  # knowledge: 64,000 steps; 164 epochs of 391 steps (50,000 images) are 64,124
    batch_size=128,  # knowledge
    initialisation=He(),  # knowledge
)

_HUANG: Final = TrainConfig(
    optimizer=SGD(
        lr=0.1,  # knowledge
        momentum=0.9,  # knowledge
        nesterov=True,  # knowledge
        weight_decay=1e-4,  # knowledge
        decay="all",
    ),
    schedule=Step(at=(0.5, 0.75), factor=0.1),  # knowledge: after 250 and 375 epochs
    epochs=500,  # knowledge
    batch_size=128,  # knowledge
    initialisation=He(),  # knowledge
)

_LARSSON: Final = TrainConfig(
    optimizer=SGD(
        lr=0.02,  # section 4.1
        momentum=0.9,  # section 4.1
        nesterov=False,  # section 4.1 says momentum; Caffe's is plain
        weight_decay=1e-4,  # not stated, and the solver is not released: ours
        decay="no_bias",  # released template: decay_mult 1 for filters, 0 for biases
        bias_rate=2.0,  # released template: lr_mult 2
    ),
    schedule=RemainingHalves(factor=0.1, floor=1e-4),  # section 4.1; the floor is ours
    epochs=400,  # section 4.1, CIFAR
    batch_size=100,  # section 4.1
    initialisation=Xavier(form="caffe"),  # section 4.1, by Caffe's filler; biases 0
)  # section 4.1: augmentation none, + or ++ by the study

_ZAGORUYKO: Final = TrainConfig(
    optimizer=SGD(
        lr=0.1,  # section 3: as WRN; released code
        momentum=0.9,  # released code
        nesterov=False,  # released code
        weight_decay=5e-4,  # released code
        decay="filters",  # section 2: a and b are not; released code: nothing of one dimension
    ),
    schedule=Milestones(epochs=(60, 120, 160), factor=0.2),  # released code
    epochs=200,  # released code
    batch_size=128,  # released code
    initialisation=He(),  # released code: as MSRA's
)

RECIPES: Final[dict[str, TrainConfig]] = {
    # Zhao et al. 2016, CIFAR
    "zhao2016": _ZHAO,
    # section 6.2: 40 epochs; released code: data.augmentation none
    "zhao2016_svhn": replace(_ZHAO, epochs=40),
    # Zhao et al. 2016, section 6.5, Figure 8 and Table 6
    "zhao2016_imagenet": _ZHAO_IMAGENET,
    # Appendix A.1, Table 7: halved every 10 epochs, 4 GPUs with 64 images each; epochs not stated: as above
    "zhao2016_imagenet_halving": replace(
        _ZHAO_IMAGENET, schedule=Every(epochs=10, factor=0.5), ghost_batch=64
    ),
    # Veit et al. 2016, section 4: "standard strategy" of He et al. 2016, Identity Mappings
    "veit2016": _HE_PREACTIVATION,
    # Veit et al. 2016, section 6, Figure 8: stochastic depth as Huang et al. 2016 (network.survival 0.5)
    "huang2016": _HUANG,
    # Larsson et al. 2017, CIFAR
    "larsson2017": _LARSSON,
    # section 4.1: 20 epochs
    "larsson2017_svhn": replace(_LARSSON, epochs=20),
    # section 4.2, Tables 3 and 4, Figure 3: mini-batches of 50
    "larsson2017_analysis": replace(_LARSSON, batch_size=50),
    # section 4.1: 70 epochs, by ten after 50 and 65, mini-batches of 32, rate 0.001
    "larsson2017_imagenet": replace(
        _LARSSON,
        optimizer=replace(_LARSSON.optimizer, lr=0.001),
        schedule=Milestones(epochs=(50, 65), factor=0.1),
        epochs=70,
        batch_size=32,
    ),
    # Zagoruyko and Komodakis 2017, CIFAR
    "zagoruyko2017": _ZAGORUYKO,
    # section 3.5 and released code: as ResNet's
    "zagoruyko2017_imagenet": replace(
        _ZAGORUYKO,
        optimizer=replace(_ZAGORUYKO.optimizer, weight_decay=1e-4),
        schedule=Milestones(epochs=(30, 60, 90), factor=0.1),
        epochs=100,
        batch_size=256,
    ),
}
