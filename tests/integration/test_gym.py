"""Painting-v0 for the libraries of the field: Gymnasium's checker, Stable-Baselines3's, and its TD3 and PPO."""
import warnings

import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium", reason="the extra `gym` is not installed")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from sgpaint.agent.gym import ENV_ID  # noqa: E402
from sgpaint.agent.rewards import REWARDS, RewardTerm  # noqa: E402

SMALL = dict(size=64, strokes=20, images=20)
WITHOUT_SB3 = "Stable-Baselines3 is not installed (it is in the extra `dev`)"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("options", [{}, {"observation": "float32"}, {"primitive": "circle", "bundle": 4}], ids=str)
def test_gymnasiums_checker(options):
    check_env(gymnasium.make(ENV_ID, **SMALL | options).unwrapped)


def test_a_vector_steps_like_single_environments():
    many, one = gymnasium.make_vec(ENV_ID, num_envs=3, **SMALL), gymnasium.make(ENV_ID, **SMALL)
    observations, _ = many.reset(seed=5)
    targets = np.random.default_rng(5).integers(SMALL["images"], size=3)
    actions = np.random.default_rng(0).random((4, *many.action_space.shape), dtype=np.float32)
    steps = [many.step(action) for action in actions]
    for i, target in enumerate(targets):
        seen, _ = one.reset(options={"index": int(target)})
        assert np.array_equal(seen, observations[i])
        for action, (after, rewards, terminated, truncated, infos) in zip(actions, steps, strict=True):
            seen, reward, over, cut, info = one.step(action[i])
            assert np.abs(seen.astype(int) - after[i].astype(int)).max() <= 1
            assert reward == pytest.approx(rewards[i], abs=1e-4) and (over, cut) == (terminated[i], truncated[i])
            assert info["error"] == pytest.approx(infos["error"][i], abs=1e-6)
    assert over


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_autoreset(mode):
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, autoreset_mode=mode, **SMALL)
    envs.reset(seed=0)
    for _ in range(4): observations, rewards, terminated, _, infos = envs.step(envs.action_space.sample())
    assert terminated.all() and envs.metadata["autoreset_mode"].value == mode
    if mode == "SameStep":
        assert observations[:, :3].max() == 0 and infos["final_obs"][0][:3].max() > 0 and infos["_final_obs"].all()
    else:
        assert observations[:, :3].max() > 0
        observations, rewards, terminated, _, _ = envs.step(envs.action_space.sample())
        assert observations[:, :3].max() == 0 and not rewards.any() and not terminated.any()


def test_a_step_after_the_last_one_is_refused():
    env = gymnasium.make(ENV_ID, **SMALL).unwrapped
    env.reset(seed=0)
    for _ in range(4): *_, info = env.step(env.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset"): env.step(env.action_space.sample())


def test_a_reward_of_someone_else():
    class Mine(RewardTerm):
        name = "mine"

        def distance(self, canvas, target, guidance=None): return (canvas - target).abs().mean((1, 2, 3))

    REWARDS.register("mine", Mine)
    try:
        env = gymnasium.make(ENV_ID, rewards={"mine": 1.0}, normalise_rewards=False, **SMALL)
        seen, _ = env.reset(seed=0)
        target, total, over = seen[3:6] / 255, 0.0, False
        while not over: seen, reward, over, _, _ = env.step(env.action_space.sample()); total += reward
        assert total == pytest.approx(target.mean() - np.abs(seen[:3] / 255 - target).mean(), abs=5e-3)
    finally: REWARDS.remove("mine")


def test_what_it_cannot_do_is_refused():
    refused = [({"rewards": "l3"}, "'l2'"), ({"rewards": "focus"}, "needs a"), ({"strokes": 7}, "multiple of bundle")]
    for wrong, rule in refused:
        with pytest.raises(ValueError, match=rule): gymnasium.make(ENV_ID, **SMALL | wrong)


def test_the_checker_of_stable_baselines3():
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason=WITHOUT_SB3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gymnasium.make(ENV_ID, **SMALL))
    said = [str(warning.message) for warning in caught]
    assert all("symmetric and normalized Box" in text for text in said), said  # a recommendation: actions are in [0, 1]


@pytest.mark.parametrize("name", ["TD3", "PPO"])
def test_stable_baselines3_trains(name):
    sb3 = pytest.importorskip("stable_baselines3", reason=WITHOUT_SB3)
    env = gymnasium.make(ENV_ID, **SMALL)
    if name == "TD3":
        options = dict(buffer_size=500, learning_starts=100, batch_size=16, train_freq=(5, "step"))
    else:
        options = dict(n_steps=125, batch_size=25, n_epochs=2)
    agent = getattr(sb3, name)("CnnPolicy", env, seed=0, device="cpu", **options)
    before = [p.detach().clone() for p in agent.policy.parameters()]
    agent.learn(500)
    assert agent.num_timesteps == 500
    after = list(agent.policy.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.isfinite().all() for p in after)
    action, _ = agent.predict(env.reset(seed=0)[0], deterministic=True)
    assert env.action_space.contains(action)
