"""Seeds that fail alike hold the others of their cell back, and nothing else."""

from __future__ import annotations

from orchestrator.driver.breaker import Breaker, signature
from orchestrator.model.plan import Trial, TrialKey
from orchestrator.model.run import Cause, Failure

TRACE = 'Traceback (most recent call last):\n  File "a.py", line {line}, in f\n    g()\n{error}: {text}\n'


def failure(
    *, line: int = 3, error: str = "ValueError", text: str = "no", cause: Cause = Cause.ERROR
) -> Failure:
    return Failure(
        cause=cause, message=f"{error}: {text}", traceback=TRACE.format(line=line, error=error, text=text)
    )


def trained(cell: str, seed: int) -> Trial:
    return Trial(key=TrialKey(f"{cell}{seed}"), stage="train", workload="w", config={"cell": cell}, seed=seed)


def evaluated(cell: str, seed: int, family: str = "f") -> Trial:
    parent = trained(cell, seed).key
    return Trial(
        key=TrialKey(f"{family}-{parent}"),
        stage="evaluate",
        workload="w",
        family=family,
        seed=seed,
        parents=(parent,),
    )


TRIALS = {
    each.key: each
    for cell in ("a", "b")
    for seed in range(4)
    for each in (trained(cell, seed), evaluated(cell, seed), evaluated(cell, seed, "g"))
}


def key(name: str) -> TrialKey:
    return TrialKey(name)


def test_two_seeds_that_fail_alike_hold_back_the_others_of_their_cell() -> None:
    breaker = Breaker(TRIALS)
    assert breaker.failed(key("a0"), failure(text="of seed 0")) == ()
    found = breaker.failed(key("a2"), failure(text="of seed 2"))
    assert found == [key("a1"), key("a3")]
    assert breaker.why(key("a2"), failure(text="of seed 2")) == (
        "not tried: seeds 0 and 2 failed the same way (ValueError: of seed 2)"
    )


def test_other_faults_other_cells_and_cells_that_worked_are_left_alone() -> None:
    breaker = Breaker(TRIALS)
    assert breaker.failed(key("a0"), failure()) == ()
    assert breaker.failed(key("a1"), failure(line=4)) == ()
    assert breaker.failed(key("b0"), failure()) == ()
    assert breaker.failed(key("a2"), failure(error="KeyError")) == ()
    assert breaker.failed(key("b1"), failure(cause=Cause.OUT_OF_MEMORY)) == ()
    assert breaker.failed(key("b2"), failure(cause=Cause.OUT_OF_MEMORY)) == ()
    breaker.worked(key("b3"))
    assert breaker.failed(key("b1"), failure()) == ()


def test_an_evaluation_is_held_back_on_its_own_kind_of_network() -> None:
    breaker = Breaker(TRIALS)
    assert breaker.failed(key("f-a0"), failure()) == ()
    assert breaker.failed(key("f-b0"), failure()) == ()
    assert breaker.failed(key("g-a0"), failure()) == ()
    assert breaker.failed(key("f-a3"), failure()) == [key("f-a1"), key("f-a2")]


def test_a_signature_has_the_innermost_line_and_no_values() -> None:
    assert signature(failure(text="1")) == signature(failure(text="2"))
    assert signature(failure(line=3)) != signature(failure(line=4))
    assert signature(Failure(cause=Cause.ERROR, message="OSError: gone")) == "OSError "
