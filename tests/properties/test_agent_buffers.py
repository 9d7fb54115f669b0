"""The replay buffer against a list that keeps everything."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.agent.environment import Collector, PaintingEnv, State, Transition
from sgpaint.agent.buffers import EpisodeBuffer, buffer_bytes, mirror_half
from sgpaint.lab import checkpoint

SIZE = (4, 4)


def numbered(index, start, step, env):
    """A transition that carries in its pixels and its action which painting and which step it is."""
    picture = lambda value: torch.full((3, *SIZE), value / 255)  # noqa: E731
    action = torch.full((env.action_size,), start + step / 100)
    return picture(start), picture(step), picture(step + 1), action


@settings(max_examples=40)
@given(
    num_envs=st.integers(1, 4), spare=st.integers(1, 4), steps=st.integers(1, 5), seed=st.integers(0, 2**31),
    turns=st.integers(1, 40),
)
def test_the_buffer_holds_what_a_list_would(num_envs, spare, steps, seed, turns):
    env = PaintingEnv(strokes=steps, bundle=1, primitive="block")
    buffer = EpisodeBuffer(env, SIZE, num_envs + spare, num_envs)
    coin = torch.Generator().manual_seed(seed)
    rows = {}  # the oracle: number of the painting -> its steps so far
    order, at, started, painting = [], [None] * num_envs, 0, [None] * num_envs
    for _ in range(turns):
        batch = []
        for index in range(num_envs):
            cut = torch.rand((), generator=coin) < 0.2
            if at[index] is None or at[index] == steps or cut:
                started, at[index] = started + 1, 0
                live = [p for other, p in enumerate(painting) if other != index]
                if len(order) == num_envs + spare:  # full: the oldest that no other index writes goes
                    oldest = next(p for p in order if p not in live)
                    order.remove(oldest)
                    del rows[oldest]
                painting[index] = started
                order.append(started)
                rows[started] = 0
            batch.append(numbered(index, painting[index], at[index], env))
            at[index] += 1
        target, canvas, after, action = (torch.stack(x) for x in zip(*batch, strict=True))
        step = torch.tensor([a - 1 for a in at])
        state, following = State(canvas, target, step), State(after, target, step + 1)
        buffer.add(Transition(state, action, following, env.terminated(following)))
        for index in range(num_envs):
            rows[painting[index]] += 1
        assert len(buffer) == sum(rows.values())
    drawn = buffer.sample(64, coin)
    for i in range(64):
        start = round(drawn.state.target[i].mean().item() * 255)
        step = drawn.state.step[i].item()
        assert step < rows[start]  # kept, and finished
        assert drawn.after.step[i] == step + 1 and drawn.terminated[i] == (step + 1 == steps)
        assert round(drawn.state.canvas[i].mean().item() * 255) == step
        assert round(drawn.after.canvas[i].mean().item() * 255) == step + 1
        assert drawn.action[i, 0].item() == pytest.approx(start + step / 100, rel=1e-5)


def filled(turns=9, seed=0):
    env = PaintingEnv(strokes=8, bundle=2)
    generator = torch.Generator().manual_seed(seed)
    collector = Collector(env, lambda n, g: env.reset(torch.rand(n, 3, 16, 16, generator=g)), 3, generator)
    buffer = EpisodeBuffer(env, (16, 16), 7, 3)
    for _ in range(turns):
        last = collector.collect(lambda state: torch.rand(len(state), env.action_size, generator=generator))
        buffer.add(last)
    return env, collector, buffer, last


def test_draws_are_uniform_over_transitions():
    _, _, buffer, _ = filled()
    n = 20_000
    drawn = buffer.sample(n, torch.Generator().manual_seed(0))
    names, counts = torch.unique(drawn.action[:, 0], return_counts=True)
    assert len(names) == len(buffer)
    expected = n / len(buffer)
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_the_same_generator_draws_the_same():
    _, _, buffer, _ = filled()
    a, b = (buffer.sample(9, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(a.action, b.action) and torch.equal(a.after.canvas, b.after.canvas)


def test_rounding_is_half_a_level_at_most():
    _, _, buffer, last = filled()
    stored = buffer.get(buffer.row, buffer.length[buffer.row] - 1)
    assert (stored.after.canvas - last.after.canvas).abs().max() <= 0.5 / 255 + 1e-6
    assert torch.equal(stored.action, last.action) and torch.equal(stored.state.step, last.state.step)


def test_a_buffer_survives_a_checkpoint(tmp_path):
    env, collector, buffer, _ = filled()
    checkpoint.save(tmp_path / "buffer", {"buffer": buffer.state_dict()})
    restored = EpisodeBuffer(env, (16, 16), 7, 3)
    restored.load_state_dict(checkpoint.load(tmp_path / "buffer")["buffer"])
    for _ in range(5):  # and both go on alike
        step = collector.collect(lambda state: torch.rand(len(state), env.action_size))
        buffer.add(step)
        restored.add(step)
    a, b = (r.sample(20, torch.Generator().manual_seed(1)) for r in (buffer, restored))
    assert torch.equal(a.state.canvas, b.state.canvas) and torch.equal(a.action, b.action)
    with pytest.raises(ValueError, match="expected shape"):
        EpisodeBuffer(env, (16, 16), 8, 3).load_state_dict(buffer.state_dict())


def test_mirrored_transitions_are_still_transitions():
    torch.manual_seed(0)
    env, _, _, last = filled()
    many = mirror_half(last, env, torch.Generator().manual_seed(0))
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(many.state.target, last.state.target, strict=True)]
    assert any(flipped) and not all(flipped)
    error = (env.transition(many.state, many.action).canvas - many.after.canvas).abs()
    assert (error > 1e-3).float().mean() < 0.005  # a pixel on a tie may differ


def test_memory():
    huang = PaintingEnv(strokes=200, bundle=5)
    assert buffer_bytes(800, huang, (128, 128)) <= 1.6 * 2**30
    env, _, buffer, _ = filled()
    assert buffer.nbytes == buffer_bytes(7, env, (16, 16))


def test_what_cannot_be_stored_is_refused_and_changes_nothing():
    env, collector, buffer, last = filled()
    for wrong in (last, Transition(last.state[:2], last.action[:2], last.after[:2], last.terminated[:2])):
        before = {k: v.clone() if torch.is_tensor(v) else v for k, v in buffer.state_dict().items()}
        with pytest.raises(ValueError, match="expected"):
            buffer.add(wrong)
        assert all(torch.equal(torch.as_tensor(before[k]), torch.as_tensor(v)) for k, v in buffer.state_dict().items())
    with pytest.raises(ValueError, match="num_envs"):
        EpisodeBuffer(env, SIZE, 3, 3)
    with pytest.raises(ValueError, match="empty buffer"):
        EpisodeBuffer(env, SIZE, 3, 1).sample(4, torch.Generator())
