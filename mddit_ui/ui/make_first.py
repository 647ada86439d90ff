"""Makes the first screen of the app: ``python -m mddit_ui.ui.make_first`` writes ``assets/first``."""

import argparse
from dataclasses import replace
from pathlib import Path

from mddit_ui.core.records import GenerationConfig, ModelSpec
from mddit_ui.service import catalog
from mddit_ui.service.calibrate import calibrate
from mddit_ui.ui import captions, desk, first, page, studio
from mddit_ui.ui.parts import request_of, shape_of
from mddit_ui.ui.state import Session
from mddit_ui.ui.tabs.understand import PROMPTS


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Makes the precomputed first screen of the app.")
    parser.add_argument("--out", type=Path, default=first.FOLDER)
    parser.add_argument("--seed", type=int, default=page.FIRST_SEED)
    wanted = parser.parse_args(arguments)
    spec = catalog.get_model(page.FIRST_MODEL)
    shape = shape_of(spec.id, spec.steps, "default")
    policy = desk.preset_policy("Skip-Cache", 3, len(shape.timesteps), len(shape.sites))
    policy = replace(policy, sites=shape.sites, timesteps=shape.timesteps, model=spec.id)
    session = Session(spec.id, policy, _request(spec, [captions.default_caption(spec)], [wanted.seed]))
    outcome = studio.generate_both(session, studio.rival_of("full", session), None, lambda *_: None)
    outcome = studio.generate_both(session, studio.rival_of("full", session), None, lambda *_: None)  # warm
    runs = (studio.record_of(outcome.rival), studio.record_of(outcome.own, outcome.rival.run))
    images = (outcome.rival.result.images, outcome.own.result.images)
    prompts = captions.search_prompts(spec, PROMPTS)
    calibration = calibrate(spec.id, _request(spec, prompts, list(range(len(prompts)))))
    first.write(spec, shape.mac_table, shape.residual_bytes, runs, images, calibration, wanted.out)
    print(f"{wanted.out / first.FILE}: {(wanted.out / first.FILE).stat().st_size / 1000:.0f} kB")


def _request(spec: ModelSpec, prompts: list[str], seeds: list[int]) -> GenerationConfig:
    return request_of(spec, prompts, seeds, spec.steps, spec.guidance_scale, "default")


if __name__ == "__main__":
    main()
