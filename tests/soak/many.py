"""Many seeds of the fast soak, on several processors."""

import multiprocessing
import traceback
from collections.abc import Iterable, Iterator

import structlog

from tests.soak.fast import ACTIVE_S, Result, Soak, run_seed
from tests.soak.losses import LossSoak
from tests.soak.venues import USDM


def _run(asked: tuple[int, float, tuple[str, ...], str, bool]) -> Result:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seed, active_s, only, venue, has_losses = asked
    kind = LossSoak if has_losses else Soak
    try:
        return run_seed(seed, kind=kind, active_s=active_s, only=only, venue=venue)
    except Exception:
        return Result(seed, [traceback.format_exc()])


def run_seeds(
    seeds: Iterable[int],
    jobs: int,
    active_s: float = ACTIVE_S,
    only: tuple[str, ...] = (),
    venue: str = USDM.name,
    has_losses: bool = False,
) -> Iterator[Result]:
    """Each seed's result, as they come."""
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run, [(seed, active_s, only, venue, has_losses) for seed in seeds])
