"""A policy on a transformer: hand-computed values, exactness, and nothing left behind."""

import pytest
import torch
from accelerate.hooks import ModelHook as AccelerateHook
from accelerate.hooks import add_hook_to_module, remove_hook_from_module
from diffusers import FluxTransformer2DModel
from diffusers.hooks import FirstBlockCacheConfig, HookRegistry

import mddit_ui
from mddit_ui.core.errors import ModelError, PolicyError
from mddit_ui.core.policy import Policy
from mddit_ui.engine.acting import Hook
from mddit_ui.engine.hooks import apply_policy, attach
from mddit_ui.models.loading import LoadedModel, load
from tests.engine.toy import ToyTransformer, random_policy, run, slow_reference, traces
from tests.tiny import PROMPTS

TIMESTEPS = [4.0, 3.0, 2.0, 1.0]


@pytest.fixture
def pixart(tiny_pixart: str) -> LoadedModel:
    return load(tiny_pixart)


def sample(loaded: LoadedModel, steps: int = 6, seeds: tuple[int, ...] = (0, 1), **more) -> torch.Tensor:
    """Latents of the plain pipeline call."""
    return loaded.pipe(
        list(PROMPTS[: len(seeds)]),
        num_inference_steps=steps,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="latent",
        height=64,
        width=64,
        use_resolution_binning=False,
        clean_caption=False,
        **more,
    ).images


class TestToy:
    """Block i of the toy adds 10^i * timestep; so each digit of the result names the step whose residual was used."""

    @pytest.mark.parametrize(
        ("rows", "expected"),
        [
            (["###", "###", "###", "###"], [444, 333, 222, 111]),
            (["###", "===", "===", "==="], [444, 444, 444, 444]),
            (["###", "...", "...", "..."], [444, 0, 0, 0]),
            (["###", "#==", "=#=", "==#"], [444, 443, 423, 123]),  # digits from the right: blocks 0, 1, 2
            (["#.#", ".##", "=.=", "=#."], [404, 330, 304, 14]),
            (["...", "###", ".=.", "==="], [0, 333, 30, 333]),
        ],
    )
    def test_every_digit(self, rows: list[str], expected: list[float]) -> None:
        with apply_policy(ToyTransformer(), Policy.from_rows(rows)) as applied:
            assert run(applied.transformer, TIMESTEPS) == expected

    def test_steps_that_compute_all_and_keep_nothing_only_run_and_count(self) -> None:
        toy = ToyTransformer()
        short: list[bool] = []
        with apply_policy(toy, Policy.from_rows(["###", "###", "===", "###", "##."])) as applied:
            toy.blocks[1].register_forward_pre_hook(lambda *_: short.append(applied.run.plain))
            for first in (False, True):  # in the first step of all, nothing is known of the blocks' streams
                assert run(toy, [*TIMESTEPS, 1.0]) == [444, 333, 333, 111, 11]
                assert short == [first, False, False, True, False]
                assert applied.run.counts.tolist() == [[0, 1, 4], [0, 1, 4], [1, 1, 3]]
                short.clear()
            applied.run.routed = True  # with routers a computed cell has a ratio to be counted
            run(toy, [*TIMESTEPS, 1.0])
            assert short == [False] * 5

    def test_the_second_run_starts_with_nothing_of_the_first(self) -> None:
        with apply_policy(ToyTransformer(), Policy.from_rows(["###", "===", "#=#", "=#="])) as applied:
            first = run(applied.transformer, TIMESTEPS)
            assert run(applied.transformer, [8.0, 6.0, 4.0, 2.0]) == [2 * value for value in first]
            assert applied.run.tally.held_bytes == 0

    def test_a_run_after_one_that_died(self) -> None:
        policy = Policy.from_rows(["###", "===", "#=#", "=#="])
        toy = ToyTransformer()
        with apply_policy(toy, policy):
            clean = run(toy, TIMESTEPS)
            run(toy, TIMESTEPS[:2])  # cut off between two calls: nobody says so
            assert run(toy, TIMESTEPS) == clean
            with pytest.raises(RuntimeError):  # dies inside of its first call
                toy(torch.zeros(1, 1, device="meta"), timestep=torch.tensor(4.0))
            assert run(toy, TIMESTEPS) == clean

    def test_a_column_by_name_leaves_the_others_alone(self) -> None:
        policy = Policy.from_rows(["#", "=", "=", "#"], sites=("blocks.1",))
        with apply_policy(ToyTransformer(), policy) as applied:
            assert run(applied.transformer, TIMESTEPS) == [444, 343, 242, 111]

    def test_neighbours_share_one_residual_and_one_add(self) -> None:
        with apply_policy(ToyTransformer(), Policy.from_rows(["###", "===", "==="])) as applied:
            assert run(applied.transformer, [3.0, 2.0, 1.0]) == [333, 333, 333]
            assert applied.peak_cache_bytes == 4  # one float for three blocks

    def test_a_longer_run_is_an_error_that_says_what_to_do(self) -> None:
        with apply_policy(ToyTransformer(), Policy.full(3, 3)) as applied:
            with pytest.raises(PolicyError, match=r"has 3 steps, but the run goes on with step 4; use policy.resample"):
                run(applied.transformer, TIMESTEPS)
            assert run(applied.transformer, TIMESTEPS[:3]) == [444, 333, 222]

    def test_report(self) -> None:
        with apply_policy(ToyTransformer(), Policy.from_rows(["###", "#=.", "=#="])) as applied:
            run(applied.transformer, [3.0, 2.0, 1.0])
            report = applied.report()
        assert [(s.computed, s.cached, s.skipped) for s in report.sites] == [(2, 1, 0), (2, 1, 0), (1, 1, 1)]
        assert [s.streams for s in report.sites] == ["hidden_states"] * 3
        assert (report.macs, report.full_macs) == (5, 9)
        assert report.steps == report.calls == 3
        assert report.peak_cache_bytes == report.predicted_cache_bytes == 12
        assert "blocks.1" in str(report)

    def test_autograd_still_flows(self) -> None:
        toy = ToyTransformer()
        with apply_policy(toy, Policy.from_rows(["###", "=#="])):
            toy(torch.zeros(1, 1), timestep=torch.tensor(2.0))
            toy(torch.zeros(1, 1), timestep=torch.tensor(1.0)).sum().backward()
        assert toy.blocks[0].linear.weight.grad.item() == 2
        assert toy.blocks[1].linear.weight.grad.item() == 1

    def test_inference_mode(self) -> None:
        toy = ToyTransformer()
        with torch.inference_mode(), apply_policy(toy, Policy.from_rows(["###", "===", "#=="])):
            assert run(toy, [3.0, 2.0, 1.0]) == [333, 333, 331]


class TestExactness:
    def test_all_compute_is_bit_for_bit_the_plain_pipeline(self, pixart: LoadedModel) -> None:
        plain = sample(pixart)
        with apply_policy(pixart.pipe, Policy.full(6, 4)) as applied:
            assert torch.equal(sample(pixart), plain)
            assert applied.peak_cache_bytes == 0

    @pytest.mark.parametrize("seed", range(6))
    def test_a_mixed_policy_against_the_slow_way(self, pixart: LoadedModel, seed: int) -> None:
        policy = random_policy(6, 4, seed)
        names = [f"transformer_blocks.{index}" for index in range(4)]
        with apply_policy(pixart.pipe, policy) as applied:
            fast = sample(pixart)
            assert applied.peak_cache_bytes == applied.predicted_cache_bytes
            step = {"at": -1}
            transformer = pixart.transformer
        counter = transformer.register_forward_pre_hook(lambda *_: step.update(at=step["at"] + 1))
        try:
            with slow_reference(transformer, names, policy, lambda: step["at"]):
                slow = sample(pixart)
        finally:
            counter.remove()
        assert torch.allclose(fast, slow, atol=1e-5)
        assert not torch.allclose(fast, sample(pixart), atol=1e-3)  # the policy did act

    def test_macs_of_a_run_are_those_of_the_policy(self, pixart: LoadedModel) -> None:
        policy = random_policy(6, 4, 1)
        with apply_policy(pixart.pipe, policy) as applied:
            sample(pixart)
            report = applied.report()
        computed = (policy.actions == 1).sum()
        block, rest = 1_228_800, 448_512  # one image, both calls of guidance
        assert report.macs == 2 * (computed * block + 6 * rest)
        assert report.full_macs == 2 * 6 * (4 * block + rest)

    def test_it_is_the_public_name(self, pixart: LoadedModel) -> None:
        with mddit_ui.apply_policy(pixart.pipe, mddit_ui.Policy.full(6, 4)) as applied:
            sample(pixart)
        assert applied.run.calls == 6


class TestNothingLeftBehind:
    def test_after_a_run(self, pixart: LoadedModel) -> None:
        before = traces(pixart.transformer)
        applied = apply_policy(pixart.pipe, random_policy(6, 4, 0))
        sample(pixart)
        assert traces(pixart.transformer) != before
        applied.remove()
        applied.remove()
        assert traces(pixart.transformer) == before

    def test_after_a_run_that_raised(self, pixart: LoadedModel) -> None:
        before = traces(pixart.transformer)

        def stop(event) -> None:
            if event.step == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), apply_policy(pixart.pipe, random_policy(6, 4, 0), on_step=stop):
            sample(pixart)
        assert traces(pixart.transformer) == before

    def test_a_raising_step_leaves_a_policy_that_still_works(self, pixart: LoadedModel) -> None:
        stops = {2}

        def stop(event) -> None:
            if event.step in stops:
                raise KeyboardInterrupt

        with apply_policy(pixart.pipe, random_policy(6, 4, 3), on_step=stop) as applied:
            with pytest.raises(KeyboardInterrupt):
                sample(pixart)
            assert applied.run.tally.held_bytes == 0
            stops.clear()
            again = sample(pixart)
        with apply_policy(pixart.pipe, random_policy(6, 4, 3)):
            assert torch.equal(sample(pixart), again)

    def test_attaching_is_all_or_nothing(self, pixart: LoadedModel) -> None:
        transformer = pixart.transformer
        HookRegistry.check_if_exists_or_initialize(transformer.transformer_blocks[2]).register_hook(Hook(), "mddit")
        before = traces(transformer)
        try:
            with pytest.raises(ValueError, match="already exists"):
                apply_policy(transformer, Policy.full(6, 4))
            assert traces(transformer) == before
        finally:
            transformer.transformer_blocks[2]._diffusers_hook.remove_hook("mddit")
            del transformer.transformer_blocks[2]._diffusers_hook
            del transformer.transformer_blocks[2].forward

    def test_hooks_of_accelerate_put_on_later_survive(self, pixart: LoadedModel) -> None:
        block = pixart.transformer.transformer_blocks[1]
        plain = sample(pixart)
        seen = []

        class Count(AccelerateHook):
            def pre_forward(self, module, *args, **kwargs):
                seen.append(module)
                return args, kwargs

        with apply_policy(pixart.pipe, Policy.full(6, 4)):
            add_hook_to_module(block, Count())
        assert torch.equal(sample(pixart), plain)
        assert len(seen) == 6
        remove_hook_from_module(block)
        vars(block).pop("forward", None)

    def test_pipelines_reset_models_without_cache_mixin(self, pixart: LoadedModel) -> None:
        assert not hasattr(pixart.transformer, "_reset_stateful_cache")
        with attach(
            pixart.pipe,
            Policy.from_rows(
                ["####"]
                + ["===="] * 4
                + [
                    "====",
                ]
            ),
        ) as applied:
            sample(pixart)
            assert applied.run.clock.step == -1  # the pipeline has called it at its end
            assert applied.run.steps == 6
        assert not hasattr(pixart.transformer, "_reset_stateful_cache")


class TestRefusals:
    def test_wrong_number_of_columns(self, pixart: LoadedModel) -> None:
        with pytest.raises(PolicyError, match="has 5 columns, PixArtTransformer2DModel has 4 blocks"):
            apply_policy(pixart.pipe, Policy.full(6, 5))

    def test_unknown_site(self, pixart: LoadedModel) -> None:
        with pytest.raises(PolicyError, match=r"no block 'blocks.0'; its 4 blocks are transformer_blocks.0 to"):
            apply_policy(pixart.pipe, Policy.full(6, ("blocks.0",)))

    def test_wrong_number_of_steps_is_told_before_anything_runs(self, pixart: LoadedModel) -> None:
        with (
            apply_policy(pixart.pipe, Policy.full(6, 4)) as applied,
            pytest.raises(
                PolicyError, match=r"has 6 steps, this run makes 9 model evaluations; use policy.resample\(9"
            ),
        ):
            sample(pixart, steps=9)
        assert applied.run.calls == 0

    def test_a_second_policy(self, pixart: LoadedModel) -> None:
        with apply_policy(pixart.pipe, Policy.full(6, 4)), pytest.raises(PolicyError, match="already follows a policy"):
            apply_policy(pixart.transformer, Policy.full(6, 4))

    def test_a_cache_of_diffusers(self) -> None:
        flux = FluxTransformer2DModel(
            num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=8,
            pooled_projection_dim=8, in_channels=4, axes_dims_rope=(2, 2, 4),
        )  # fmt: skip
        flux.enable_cache(FirstBlockCacheConfig())
        with pytest.raises(PolicyError, match="disable_cache"):
            apply_policy(flux, Policy.full(4, 2))

    def test_not_a_pipeline(self) -> None:
        with pytest.raises(ModelError, match="got dict"):
            apply_policy({}, Policy.full(4, 2))
        with pytest.raises(ModelError, match="Linear has no list of transformer blocks"):
            apply_policy(torch.nn.Linear(1, 1), Policy.full(4, 2))
