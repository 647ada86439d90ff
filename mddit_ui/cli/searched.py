"""What a search found, by name: ``search:ID`` is its best policy, ``search:ID@BUDGET`` the best within a budget,
``search:ID:NUMBER`` any that it tried."""

import re

from mddit_ui.core.errors import SearchError
from mddit_ui.core.policy import Policy
from mddit_ui.store.search_rows import EvaluationRow, SearchRow

PREFIX = "search:"


def find_search(start: str) -> SearchRow:
    """The one search whose id begins so. Raises SearchError: none, or several."""
    from mddit_ui.service import searches

    found = [row for row in searches.recent(1000) if row.id.startswith(start)] if start else []
    if len(found) != 1:
        raise SearchError(f"{len(found) or 'No'} searches begin with {start[:40]!r}; see: mddit searches")
    return found[0]


def searched_policy(name: str) -> Policy:
    """The policy of a name. Raises SearchError: no such search, or it has no such evaluation."""
    start, mark, which = re.fullmatch(r"([^@:]*)([@:]?)(.*)", name.removeprefix(PREFIX), re.S).groups()  # type: ignore[union-attr]
    row = find_search(start)
    found = row.best if not mark else _number(row, which) if mark == ":" else _within(row, which)
    if found is None and not mark:
        raise SearchError(f"Search {row.id[:12]} has tried no policy yet; wait for the first.")
    if found is None:
        raise SearchError(
            f"Search {row.id[:12]} has no policy {mark}{which[:40]!r}; see: mddit policies --from-search {row.id[:12]}"
        )
    return policy_of(row, found)


def _number(row: SearchRow, which: str) -> EvaluationRow | None:
    from mddit_ui.service import searches

    number = int(which) if which.isdecimal() and which.isascii() and len(which) < 10 else 0
    return next((each for each in searches.evaluations(row.id, number - 1)[:1] if each.number == number), None)


def _within(row: SearchRow, which: str) -> EvaluationRow | None:
    from mddit_ui.service import searches

    try:
        return searches.policy_for(row.id, float(which))
    except ValueError:
        return None


def policy_of(row: SearchRow, evaluation: EvaluationRow) -> Policy:
    """The policy of an evaluation, with the sites and timesteps of the model that it was made for."""
    from mddit_ui.service import catalog

    config = row.config
    view = catalog.describe(config.model, config.steps, config.scheduler)
    return Policy.from_rows(
        evaluation.policy_rows,
        sites=view.sites,
        timesteps=view.timesteps,
        keep=evaluation.keep,
        carry=config.carry,
        model=config.model,
        name=f"searched {evaluation.budget:.2f}",
        notes={"made_by": "mddit search", "search": row.id, "evaluation": evaluation.number},
    )
