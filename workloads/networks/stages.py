"""What lesions and paths need to know of a network of residual modules in stages. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Staged(ABC):
    """A network of residual modules in stages of equal shape; positions count from 0."""

    __slots__ = ()

    @property
    @abstractmethod
    def stages(self) -> tuple[int, ...]:
        """Modules of each stage."""

    @property
    @abstractmethod
    def downsampling(self) -> tuple[int, ...]:
        """Positions of the modules that change the channels."""

    @property
    def modules(self) -> int:
        """Residual modules."""
        return sum(self.stages)

    @property
    def deletable(self) -> range:
        """Positions of the modules that can be deleted; the skip connection stays."""
        return range(self.modules)

    @property
    def interchangeable(self) -> tuple[tuple[int, ...], ...]:
        """Groups of positions whose modules have one shape: a stage's, those that change channels aside."""
        groups = []
        first = 0
        for count in self.stages:
            groups.append(tuple(i for i in range(first, first + count) if i not in self.downsampling))
            first += count
        return tuple(groups)
