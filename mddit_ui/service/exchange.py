"""Policies from and to elsewhere, with the model at hand: foreign files, scripts, what other caches compute."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mddit_ui.core import interchange
from mddit_ui.core.cost import MacTable
from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.interchange_python import script
from mddit_ui.core.policy import Policy
from mddit_ui.core.records import GenerationConfig
from mddit_ui.engine.caches import freeze
from mddit_ui.engine.calling import plain_arguments
from mddit_ui.engine.measuring import measure
from mddit_ui.engine.run import StepEvent
from mddit_ui.models.loading import load
from mddit_ui.models.registry import get_model
from mddit_ui.models.sites import find_sites
from mddit_ui.service.catalog import describe, one_image

EXAMPLE = "a large red heart at the top left on a teal background"  # drawn when a script is given nothing


def read(path: Path, model_id: str, format: str | None = None) -> Policy:
    """The policy of a file of any format for a model: its number of blocks, its sites, its timesteps.

    Raises:
        PolicyError: the file is none, or is not for this model.
    """
    loaded = load(model_id)
    blocks = [site.name for site in find_sites(loaded.transformer)]
    try:
        branches = [site.name for site in find_sites(loaded.transformer, "branch")]
    except ModelError:
        branches = []
    policy = interchange.load(path, format, blocks=blocks, branches=branches)
    timesteps = policy.timesteps or measure(loaded, one_image(loaded.spec, policy.steps)).timesteps
    return replace(policy, model=loaded.spec.id, timesteps=timesteps if len(timesteps) == policy.steps else ())


def as_script(policy: Policy, model_id: str) -> str:
    """A script that runs a policy on a model. Loads nothing."""
    spec = get_model(model_id)
    source = str(Path(spec.source).resolve()) if Path(spec.source).is_dir() else spec.source
    subject = EXAMPLE if spec.conditioning == "prompt" else 0
    return script(replace(policy, model=spec.id), source, plain_arguments(spec, policy.steps), subject)


def record(
    model_id: str,
    config: GenerationConfig,
    method: str,
    settings: Mapping[str, float],
    *,
    on_step: Callable[[StepEvent], None] | None = None,
) -> Policy:
    """What another cache computes; arguments and errors as of ``engine.caches.freeze``."""
    return freeze(load(model_id), config, method, settings, on_step=on_step)


def mac_table(model_id: str, policy: Policy, scheduler: str = "default") -> MacTable:
    """MACs of the policy's columns on a model: blocks, or branches of blocks; what it does not name is the rest.

    Raises:
        PolicyError: the model has no such sites.
    """
    view = describe(model_id, policy.steps, scheduler)
    table, wanted = view.mac_table, policy.sites
    if not wanted or wanted == table.sites:
        return table
    costs = dict(zip(table.sites, table.site_macs, strict=True))
    if wanted[0] not in costs:
        branches = measure(load(model_id), one_image(view.spec, policy.steps, scheduler)).branches
        costs = dict(zip(branches.sites, branches.site_macs, strict=True)) if branches else {}
    if missing := [site for site in wanted if site not in costs]:
        raise PolicyError(f"{view.spec.id} has no site {missing[0]!r}; see: mddit models {view.spec.id}")
    macs = np.array([costs[site] for site in wanted])
    return MacTable(wanted, macs, table.full(1) - float(macs.sum()))
