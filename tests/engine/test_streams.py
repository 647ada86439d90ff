"""Which argument each output of a block continues, and what is refused."""

import pytest
import torch
from torch import nn

from mddit_ui.core.errors import ModelError
from mddit_ui.core.policy import Policy
from mddit_ui.engine.hooks import apply_policy
from mddit_ui.engine.streams import Streams, copies, guess, learn, watched
from tests.engine.tiny_transformers import build
from tests.engine.toy import ToyBlock, ToyTransformer, traces

HIDDEN, TEXT = torch.randn(1, 6, 4), torch.randn(1, 3, 4)


class Block(nn.Module):
    """Its forward is given by each test."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)


class TextFirstBlock(Block):
    def forward(self, hidden_states, encoder_hidden_states, temb=None):
        return encoder_hidden_states * 2, hidden_states * 2


class NamedBlock(Block):
    def forward(self, hidden_states, encoder_hidden_states, temb=None):
        hidden_states = hidden_states * 2
        encoder_hidden_states = encoder_hidden_states * 2
        return encoder_hidden_states, hidden_states


class LastBlock(Block):
    def forward(self, hidden_states, encoder_hidden_states):
        encoder_hidden_states = None
        return encoder_hidden_states, hidden_states


class OddNameBlock(Block):
    def forward(self, x, mask):
        y = x + 1
        return y


class InPlaceBlock(Block):
    def forward(self, hidden_states, temb=None):
        hidden_states += self.linear(temb)
        return hidden_states


class TwoWaysBlock(Block):
    def forward(self, hidden_states, both=False):
        if both:
            return hidden_states, hidden_states * 2
        return hidden_states + 1


class SometimesInPlaceBlock(Block):
    in_place = False

    def forward(self, hidden_states, temb=None):
        if self.in_place:
            hidden_states += self.linear(temb)
        else:
            hidden_states = hidden_states + self.linear(temb)
        return hidden_states


class PoolingBlock(Block):
    def forward(self, hidden_states):
        return hidden_states.mean(1)


class PairBlock(Block):
    def forward(self, hidden_states, encoder_hidden_states):
        return hidden_states + 1, encoder_hidden_states + 1


class SwappedBlock(Block):
    def forward(self, hidden_states, encoder_hidden_states):
        return encoder_hidden_states + 1, hidden_states + 1


class MisleadingBlock(Block):
    def forward(self, hidden_states, temb):
        hidden_states = temb * 2
        return hidden_states


class DictBlock(Block):
    def forward(self, hidden_states):
        return {"hidden_states": hidden_states}


def mapped(block: nn.Module, *args, **kwargs) -> Streams:
    before = copies(block, args, kwargs)
    return learn(block, args, kwargs, block(*args, **kwargs), before)


def test_by_name_by_shape_and_by_place():
    assert mapped(NamedBlock(), HIDDEN, TEXT).names == ("encoder_hidden_states", "hidden_states")
    assert mapped(NamedBlock(), encoder_hidden_states=TEXT, hidden_states=HIDDEN).names == (
        "encoder_hidden_states",
        "hidden_states",
    )
    assert mapped(NamedBlock(), HIDDEN, encoder_hidden_states=HIDDEN + 1).names[0] == "encoder_hidden_states"
    assert mapped(TextFirstBlock(), HIDDEN, TEXT).names == ("encoder_hidden_states", "hidden_states")
    assert mapped(LastBlock(), HIDDEN, TEXT).names == (None, "hidden_states")
    assert mapped(OddNameBlock(), HIDDEN, None).names == ("x",)
    assert mapped(TwoWaysBlock(), HIDDEN).single
    assert str(mapped(NamedBlock(), HIDDEN, TEXT)) == "(encoder_hidden_states, hidden_states)"


def test_inputs_are_found_however_they_are_passed():
    streams = mapped(NamedBlock(), HIDDEN, TEXT)
    for args, kwargs in (((HIDDEN, TEXT), {}), ((HIDDEN,), {"encoder_hidden_states": TEXT}), ((), {
        "encoder_hidden_states": TEXT, "hidden_states": HIDDEN})):  # fmt: skip
        text, hidden = streams.inputs(args, kwargs)
        assert text is TEXT
        assert hidden is HIDDEN


def test_the_source_alone_tells_for_most_blocks_and_says_when_not():
    assert guess(NamedBlock()).names == ("encoder_hidden_states", "hidden_states")
    assert guess(OddNameBlock()) is None
    assert guess(TwoWaysBlock()) is None
    assert guess(build("PixArtTransformer2DModel").transformer_blocks[0]).names == ("hidden_states",)


def test_what_can_not_be_mapped_is_said():
    with pytest.raises(
        ModelError, match=r"PoolingBlock continues: it returns \(1, 4\), .* hidden_states \(1, 6, 4\)\."
    ):
        mapped(PoolingBlock(), HIDDEN)
    with pytest.raises(ModelError, match="DictBlock returns dict"):
        mapped(DictBlock(), HIDDEN)


def test_two_streams_of_one_shape_without_names_are_told_apart_by_their_numbers():
    near, far = torch.zeros(1, 6, 4), torch.full((1, 6, 4), 9.0)
    straight = mapped(PairBlock(), near, far)
    assert straight.names == ("hidden_states", "encoder_hidden_states")
    with pytest.raises(ModelError, match=r"SwappedBlock continues: it returns \(1, 6, 4\), \(1, 6, 4\)"):
        mapped(SwappedBlock(), near, far)  # never a swapped pair without a word


def test_the_error_names_the_block_and_leaves_nothing():
    class Pooling(ToyTransformer):
        def __init__(self) -> None:
            super().__init__(2)
            self.blocks[1] = PoolingBlock()

        def forward(self, hidden_states, timestep):
            for block in self.blocks:
                hidden_states = block(hidden_states, timestep) if isinstance(block, ToyBlock) else block(hidden_states)
            return hidden_states

    toy = Pooling()
    before = traces(toy)
    with (
        torch.no_grad(),
        pytest.raises(ModelError, match=r"^blocks\.1: Can't tell what PoolingBlock continues"),
        apply_policy(toy, Policy.full(2, 2)),
    ):
        toy(torch.zeros(1, 6, 4), torch.ones(1, 1))
    assert traces(toy) == before


def test_a_source_that_misleads_is_found_out():
    class Misleading(ToyTransformer):
        def __init__(self) -> None:
            super().__init__(1)
            self.blocks = nn.ModuleList([MisleadingBlock()])

        def forward(self, hidden_states, timestep):
            return self.blocks[0](hidden_states, hidden_states.mean(1))

    with torch.no_grad(), apply_policy(Misleading(), Policy.from_rows([".", "#"])) as applied:
        applied.transformer(torch.zeros(1, 6, 4), torch.tensor(2.0))
        with pytest.raises(ModelError, match=r"looked as if it returned hidden_states, but it returns temb"):
            applied.transformer(torch.zeros(1, 6, 4), torch.tensor(1.0))


def test_a_block_that_writes_into_its_input():
    assert mapped(InPlaceBlock(), HIDDEN.clone(), temb=torch.ones(1, 1)).mutates
    assert not mapped(OddNameBlock(), HIDDEN, None).mutates

    class InPlace(ToyTransformer):
        def __init__(self) -> None:
            super().__init__(0)
            self.blocks = nn.ModuleList([InPlaceBlock() for _ in range(2)])
            for block in self.blocks:
                nn.init.ones_(block.linear.weight)
                nn.init.zeros_(block.linear.bias)

    toy = InPlace()
    with torch.no_grad(), apply_policy(toy, Policy.from_rows(["##", "==", "##", "=="])):
        values = [float(toy(torch.zeros(1, 1), timestep=torch.tensor(t))) for t in (4.0, 3.0, 2.0, 1.0)]
    assert values == [8, 8, 4, 4]
    with torch.no_grad(), apply_policy(toy, Policy.from_rows(["..", "##", "=="])):  # seen first by a skip
        values = [float(toy(torch.zeros(1, 1), timestep=torch.tensor(t))) for t in (4.0, 3.0, 2.0)]
    assert values == [0, 6, 6]


def test_a_site_that_is_skipped_before_it_ever_ran_is_learnt_without_a_trace():
    class Odd(ToyTransformer):
        def __init__(self) -> None:
            super().__init__(1)

            class AddBlock(Block):
                def forward(self, x, temb=None):
                    y = x + temb
                    return y

            self.blocks = nn.ModuleList([AddBlock()])

        def forward(self, hidden_states, timestep):
            return self.blocks[0](hidden_states, temb=timestep.reshape(1, 1))

    with torch.no_grad(), apply_policy(Odd(), Policy.from_rows([".", "#", "="])) as applied:
        values = [float(applied.transformer(torch.zeros(1, 1), torch.tensor(t))) for t in (3.0, 2.0, 1.0)]
    assert values == [0, 2, 2]


class TestWhatLiesBetweenBlocks:
    """Neighbours share a residual only where nothing else sees what lies between them."""

    @staticmethod
    def apply(forward, rows=("###", "===")) -> tuple[list[float], int]:
        class Odd(ToyTransformer):
            pass

        Odd.forward = forward
        with torch.no_grad(), apply_policy(Odd(), Policy.from_rows(rows)) as applied:
            steps = range(len(rows), 0, -1)
            values = [float(applied.transformer(torch.zeros(1, 1), timestep=torch.tensor(float(t)))) for t in steps]
            assert applied.report().peak_cache_bytes == applied.report().predicted_cache_bytes
            return values, applied.peak_cache_bytes // 4

    def test_nothing(self):
        assert self.apply(ToyTransformer.forward) == ([222, 222], 1)

    def test_a_long_skip_connection(self):
        def forward(self, hidden_states, timestep):
            temb = timestep.reshape(1, 1)
            early = self.blocks[0](hidden_states, temb=temb)
            hidden_states = self.blocks[1](early, temb=temb)
            hidden_states = self.blocks[2](hidden_states, temb=temb)
            return hidden_states + 1000 * early

        assert self.apply(forward) == ([2222, 2222], 2)

    def test_a_control_signal_between_blocks(self):
        def forward(self, hidden_states, timestep):
            temb = timestep.reshape(1, 1)
            for block in self.blocks:
                hidden_states = block(hidden_states, temb=temb) + 1000 * timestep
            return hidden_states

        assert self.apply(forward) == ([6222, 3222], 3)

    def test_a_control_signal_written_in_place(self):
        def forward(self, hidden_states, timestep):
            temb = timestep.reshape(1, 1)
            for block in self.blocks:
                hidden_states = block(hidden_states, temb=temb)
                hidden_states += 1000 * timestep
            return hidden_states

        assert self.apply(forward) == ([6222, 3222], 3)


def test_watching_the_arguments_tells_the_same_as_copies():
    temb = torch.ones(1, 1)
    for block in (InPlaceBlock(), OddNameBlock(), SometimesInPlaceBlock()):
        hidden = HIDDEN.clone()
        seen = watched(block, (hidden, temb), {})
        with torch.no_grad():
            assert learn(block, (hidden, temb), {}, block(hidden, temb), seen) == mapped(block, HIDDEN.clone(), temb)
    with torch.inference_mode():
        assert watched(OddNameBlock(), (HIDDEN + 1, None), {}) is None


def sometimes_in_place() -> ToyTransformer:
    toy = ToyTransformer(2)
    toy.blocks = nn.ModuleList([SometimesInPlaceBlock() for _ in range(2)])
    toy.blocks[1].in_place = True
    return toy


def test_a_block_unlike_others_of_its_class_is_seen_where_its_residual_is_wanted():
    toy = sometimes_in_place()
    hidden, timesteps = torch.zeros(1, 1), (torch.tensor(900.0), torch.tensor(500.0))
    with torch.no_grad():
        plain = [toy(hidden.clone(), t) for t in timesteps]
        with apply_policy(toy, Policy.full(2, ("blocks.0", "blocks.1"))) as applied:
            assert all(map(torch.equal, [toy(hidden.clone(), t) for t in timesteps], plain))
            assert applied.run.streams[1].mutates
        with apply_policy(toy, Policy([[1, 1], [0, 0]])), pytest.raises(ModelError, match="others of its class"):
            toy(hidden.clone(), timesteps[0])
