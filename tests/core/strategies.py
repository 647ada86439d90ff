"""Legal policies and tables of any actions, for property tests."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mddit_ui.core.policy import CARRIES, Policy, repair

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def tables(max_steps: int = 9, max_sites: int = 6) -> st.SearchStrategy[np.ndarray]:
    """(steps, sites) int8 of any actions, legal or not."""
    shape = st.tuples(st.integers(1, max_steps), st.integers(1, max_sites))
    return shape.flatmap(lambda shape: arrays(np.int8, shape, elements=st.integers(-1, 1)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Legal policies with and without names, timesteps, keep and notes."""
    actions = repair(draw(tables()))
    steps, sites = actions.shape
    names = draw(st.one_of(st.just([]), st.lists(TEXT, min_size=sites, max_size=sites, unique=True)))
    timesteps = draw(st.one_of(st.just([]), st.lists(st.floats(0, 1000), min_size=steps, max_size=steps)))
    shares = arrays(np.float32, (steps, sites), elements=st.floats(0.0625, 1, width=32))
    notes = st.dictionaries(TEXT, st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e6, 1e6), TEXT))
    return Policy(
        actions,
        sites=tuple(names),
        timesteps=tuple(timesteps),
        keep=draw(st.one_of(st.none(), shares)),
        carry=draw(st.sampled_from(CARRIES)),
        model=draw(TEXT),
        name=draw(TEXT),
        notes=draw(notes),
    )
