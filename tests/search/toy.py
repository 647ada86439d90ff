"""A toy denoiser of residual blocks: a real Evaluator, in numpy, of milliseconds, that caches and skips for real."""

from collections.abc import Iterable, Iterator

import numpy as np

from mddit_ui.core.calibration import Calibration
from mddit_ui.core.cost import MacTable
from mddit_ui.core.policy import Action, Policy
from mddit_ui.core.records import Score
from mddit_ui.search.racing import Race, first


class ToyModel:
    """x <- x + (1 / steps) * (blocks(x, t) - x), blocks with residuals that drift at different speeds."""

    def __init__(self, steps: int = 20, sites: int = 8, width: int = 6, images: int = 4, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.steps, self.sites, self.images, self.width = steps, sites, images, width
        self.weights = random.normal(0, 0.8, (sites, width, width))
        self.speeds = 3 * np.linspace(0.3, 3, sites)[random.permutation(sites)]
        self.phases = random.normal(0, 1, (sites, width))
        self.table = MacTable(tuple(f"blocks.{n}" for n in range(sites)), np.linspace(1, 2, sites), rest_macs=0.5)

    def noise(self, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(0, 1, (self.images, self.width))

    def run(
        self, policy: Policy | None, seed: int = 1, residuals: list | None = None, outputs: list | None = None
    ) -> np.ndarray:
        x = self.noise(seed)
        kept = [np.zeros_like(x)] * self.sites
        gave = [np.zeros_like(x)] * self.sites
        carries = policy is not None and policy.carry == "output"
        actions = Policy.full(self.steps, self.sites).actions if policy is None else policy.actions
        for step in range(self.steps):
            t, h = step / self.steps, x
            for site in range(self.sites):
                action = actions[step, site]
                if action == Action.COMPUTE:
                    drift = self.phases[site] * np.sin(6 * self.speeds[site] * t)
                    kept[site] = 0.5 * np.tanh(h @ self.weights[site] + drift)
                if carries and action == Action.CACHE:
                    h = gave[site]
                else:
                    gave[site] = h = h if action == Action.SKIP else h + kept[site]
            if residuals is not None and outputs is not None:
                residuals.append(np.stack(kept))
                outputs.append(h)
            x = x + (h - x) * (2 / self.steps)
        return x

    def calibration(self, ages: int = 4) -> Calibration:
        residuals: list[np.ndarray] = []
        outputs: list[np.ndarray] = []
        self.run(None, residuals=residuals, outputs=outputs)
        kept = np.stack(residuals)  # (steps, sites, images, width)
        change = np.full((ages, self.steps, self.sites), np.nan)
        size = np.linalg.norm(kept, axis=(2, 3))
        for age in range(1, ages + 1):
            change[age - 1, age:] = np.linalg.norm(kept[age:] - kept[:-age], axis=(2, 3)) / size[age:]
        ones = np.ones((self.steps, self.sites))
        unit = np.stack(outputs) / np.linalg.norm(outputs, axis=2, keepdims=True)
        similarity = ones.copy()
        similarity[1:, -1] = (unit[1:] * unit[:-1]).sum(2).mean(1)
        return Calibration("toy", self.table.sites, tuple(range(self.steps, 0, -1)), similarity, ones, change, size / 4)


class ToyEvaluator:
    """Scores policies by how far the toy's last state is from full depth."""

    def __init__(self, model: ToyModel, seed: int = 1) -> None:
        self.model, self.seed = model, seed
        self.reference = model.run(None, seed)
        self.calls: list[str] = []

    def __call__(self, policies: Iterable[Policy], race: Race | None = None) -> Iterator[tuple[Policy, Score]]:
        for policy in policies:
            whole = self.score(policy)
            yield policy, next((part for part in self.parts(whole, race) if race and race.leaves(part)), whole)

    def parts(self, whole: Score, race: Race | None) -> list[Score]:
        """The scores of the first images, as the race looks at them."""
        return [first(whole, images) for images in race.ends(whole.images)] if race and whole.clip_scores else []

    def score(self, policy: Policy) -> Score:
        self.calls.append(policy.digest)
        scale = (self.reference**2).mean()
        errors = ((self.model.run(policy, self.seed) - self.reference) ** 2).mean(1) / scale  # (images,)
        psnrs = np.minimum(-10 * np.log10(errors + 1e-12), 100)
        return Score(
            clip_score=90 - 20 * float(errors.mean()),
            clip_scores=tuple((90 - 20 * errors).tolist()),
            psnr=float(psnrs.mean()),
            psnrs=tuple(psnrs.tolist()),
            latent_error=float(errors.mean()),
            images=self.model.images,
        )
