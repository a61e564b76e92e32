"""How a mini-batch is cut for ghost batch statistics, and shared among ranks. Torch-free.

Source: Hoffer et al. 2017, algorithm 1; Zhao et al. 2016 trained on two GPUs, each of which normalised its 32
images of a mini-batch of 64 by their own statistics.
"""

from __future__ import annotations


def chunk_sizes(images: int, ghost: int | None) -> tuple[int, ...]:
    """Returns the numbers of images of consecutive chunks, each normalised by its own statistics.

    All have `ghost` images but for the last, which may be smaller; a last single image has no variance, and
    joins the chunk before it.

    Args:
        images: In the mini-batch.
        ghost: Images in a chunk, or None for one chunk.
    """
    if ghost is None or images <= ghost:
        return (images,)
    full, rest = divmod(images, ghost)
    if rest == 0:
        return (ghost,) * full
    if rest == 1:
        return (*(ghost,) * (full - 1), ghost + 1)
    return (*(ghost,) * full, rest)


def shares(images: int, ghost: int | None, ranks: int) -> tuple[int, ...]:
    """Returns the number of consecutive images that each rank takes of a mini-batch; late ranks may get none.

    With a ghost size every rank takes whole chunks, so that their statistics are those of one process.

    Args:
        images: In the mini-batch.
        ghost: Images in a chunk, or None where statistics are of the whole mini-batch.
        ranks: Number of ranks.
    """
    sizes = (1,) * images if ghost is None else chunk_sizes(images, ghost)
    each = -(-len(sizes) // ranks)
    return tuple(sum(sizes[rank * each : (rank + 1) * each]) for rank in range(ranks))
