"""What planning needs to know of the image-classification workload. Torch-free."""

from __future__ import annotations

from typing import Final

from workloads import families, probe_kinds
from workloads.api import Spec
from workloads.configs import TrainConfig, canonical, data_digest, pace
from workloads.recipes import RECIPES
from workloads.unfused import unfused

SPEC: Final = Spec(
    name="classification",
    version=1,
    config=TrainConfig,
    metrics={
        "train": (
            "train_loss",
            "train_error",
            "train_top5_error",
            "validation_loss",
            "validation_error",
            "validation_top5_error",
            "lr",
            *probe_kinds.METRICS,
        ),
        "test": ("test_loss", "test_error", "test_top5_error"),
    },
    coords={"train": probe_kinds.COORDS},
    families=families.FAMILIES,
    canonical=canonical,
    data_digest=data_digest,
    pace=pace,
    unfused=unfused,
    try_fused="workloads.fused_trial:try_fused",
    recipes=RECIPES,
    runtime="workloads.classification:WORKLOAD",
    data_sets="workloads.data.sets",
    estimate="workloads.costs:estimate",
    checkpoint_bytes="workloads.costs:checkpoint_bytes",
    describe="workloads.classification:describe",
    details="workloads.classification:details",
    picture="workloads.classification:picture",
)
