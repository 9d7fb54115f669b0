"""Strokes by gradient: errors fall, strokes come home, obey, and come back the same; any picture can be painted."""
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sgpaint.search.contribution import loss_decreases, stroke_contributions
from sgpaint.search.descend import adam_steps
from sgpaint.search.losses import FeatureExtractor, FeatureLoss, gabor_features, gabor_filters
from sgpaint.search.objective import Constraints, Objective, make_objective
from sgpaint.search.optimize import coarse_to_fine, greedy_bundles, optimize
from sgpaint.search.polish import prune_strokes, refine
from sgpaint.search.propose import propose_strokes, solve_colours
from sgpaint.agent.paint import tile_to_picture, paint, working_copy, working_size
from sgpaint.cli import main
from sgpaint.scene.picture import decode_picture
from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.exact import render
from sgpaint.stroke.primitive import PRIMITIVES, random_strokes
from sgpaint.stroke.renderer import RENDERERS, check_renderer

NOWHERE = torch.zeros(1, dtype=torch.long)


def bird(size=32, seed=3): return draw("birds", seed, (size, size))


def quick(image, **more): return optimize(image, **{"strokes": 12, "steps": 30, "progress_bar": False} | more)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_one_stroke_is_recovered(name):
    f = PRIMITIVES[name]
    home = torch.full((1, f.size), 0.8)
    shape = {"x0": 0.3, "y0": 0.35, "x1": 0.5, "y1": 0.7, "x2": 0.75, "y2": 0.4, "r0": 0.3, "r2": 0.15}
    for i, column in enumerate(f.columns): home[0, i] = shape.get(column, 0.8)
    away = (home + 0.05 * torch.randn(1, f.size, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    objective = Objective(torch.zeros(3, 48, 48), f)
    objective = Objective(objective.render(home, NOWHERE), f)
    *_, found = adam_steps(objective, away, NOWHERE, 300, lr_end=0.02)
    first = len(f.columns) - 3 - len(f.opacity)
    assert objective(objective.render(found, NOWHERE)) < 1e-6
    assert (found[:, :first] - home[:, :first]).abs().max() < 2e-3


@settings(max_examples=8)
@given(name=st.sampled_from(list(PRIMITIVES)), seed=st.integers(0, 2**31),
       loss=st.sampled_from(["l2", "l1", "features"]))
def test_the_error_falls_and_strokes_stay_in_their_bounds(name, seed, loss):
    image = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(image[None], (24, 30), mode="bilinear")[0]
    painting = quick(image, primitive=name, seed=seed, loss=loss)
    empty = Painting(painting.strokes[:0], painting.size, primitive=name)
    assert painting.error(image) < empty.error(image) / 2
    assert len(painting) == 12 and (painting.strokes[:, -3:] >= 0).all()  # a Painting refuses what is out of bounds


def test_more_steps_bring_more():
    image = bird(48).image
    errors = [optimize(image, 30, steps=n, progress_bar=False).error(image) for n in (20, 80, 300)]
    assert errors[0] > errors[1] > errors[2]


def test_all_together_beats_greedy_beats_a_flat_colour():
    image = bird(48).image
    together, greedy = quick(image, strokes=30, steps=150), quick(image, strokes=30, steps=40, bundle=5)
    flat = (image - image.mean((1, 2), keepdim=True)).square().mean()
    assert together.error(image) < greedy.error(image) < flat / 4
    assert greedy.step.tolist() == [i // 5 for i in range(30)]


def test_a_seed_is_a_painting_whatever_the_number_of_threads():
    image, before = bird().image, torch.get_num_threads()
    first = quick(image, seed=5)
    try:
        torch.set_num_threads(2)
        again = quick(image, seed=5)
    finally: torch.set_num_threads(before)
    assert torch.equal(first.strokes, again.strokes) and torch.get_num_threads() == before
    assert not torch.equal(first.strokes, quick(image, seed=6).strokes)


@settings(max_examples=15)
@given(strokes=st.integers(1, 600), steps=st.integers(1, 2000), h=st.integers(1, 300), w=st.integers(1, 300),
       bundle=st.integers(1, 30))
def test_plans_keep_their_counts(strokes, steps, h, w, bundle):
    plan, greedy = coarse_to_fine(strokes, steps, (h, w)), greedy_bundles(strokes, steps, (h, w), bundle)
    assert sum(r.new for r in plan) == sum(r.new for r in greedy) == strokes
    assert sum(r.steps for r in plan) == steps and all(r.steps >= 0 for r in plan)
    assert all(r.steps == steps and r.new <= bundle and r.greedy for r in greedy)
    assert all(1 <= r.side <= min(h, w) and 0 < r.radius <= 0.25 for r in (*plan, *greedy))
    assert plan[-1].anneal and plan[-1].side == min(h, w)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_fall_worth_and_fit_against_painting_again(name):
    scene, generator = bird(24), torch.Generator().manual_seed(2)
    objective = make_objective(scene.image, name, "white", Constraints(), "l2", scene.mask, 3.0)
    strokes = random_strokes(6, name, generator=generator)[0]
    region_ids = torch.tensor([0, 1, 1, 0, 1, 0])
    losses = [objective(objective.render(strokes[:n], region_ids[:n])).item() for n in range(7)]
    decrease, importance = stroke_contributions(objective, strokes, region_ids)
    assert torch.allclose(decrease, -torch.tensor(losses).diff(), atol=1e-5)
    assert torch.allclose(loss_decreases(objective, strokes, region_ids), decrease, atol=1e-6)
    for i in range(6):
        rest = [k for k in range(6) if k != i]
        assert abs(importance[i] - (objective(objective.render(strokes[rest], region_ids[rest])) - losses[-1])) < 1e-5
    canvas = objective.render(strokes, region_ids)
    best, gains = solve_colours(objective, canvas, strokes[:1], region_ids[:1])
    def after(s): return objective(objective.render(s, region_ids[:1], canvas))
    assert abs(gains[0] - (losses[-1] - after(best))) < 1e-5
    for nudge in (-0.05, 0.05):
        other = best.clone()
        other[:, -2] = (other[:, -2] + nudge).clamp(0, 1)
        assert after(other) >= after(best) - 1e-7


@given(h=st.integers(1, 40), w=st.integers(1, 40), seed=st.integers(0, 99))
def test_features_judge_any_size(h, w, seed):
    one, other = torch.rand(2, 3, h, w, generator=torch.Generator().manual_seed(seed))
    loss, canvas = FeatureLoss(), other.clone().requires_grad_()
    errors = loss(canvas, one)
    errors.mean().backward()
    assert errors.shape == (1, h, w) and (errors >= 0).all() and canvas.grad.isfinite().all()
    assert loss(one, one).abs().max() == 0 and torch.allclose(FeatureLoss()(one, other), loss(one, other))


def test_features_see_detail_and_no_flat_colour():
    flat = torch.full((3, 32, 32), 0.3)
    assert gabor_filters().sum((1, 2, 3)).abs().max() < 1e-6
    assert all(m[..., 2:-2, 2:-2].abs().max() < 1e-5 for m in gabor_features(flat)[:1])
    faint = flat + 0.05 * (torch.arange(32) // 2 % 2)
    loss = FeatureLoss(pixel_weight=0)
    shifted, none = loss(flat + 0.02, faint).mean(), loss(faint.roll(2, 2), faint).mean()
    assert none > shifted > 0  # waves upside down are worse than none


class Tiny(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU(inplace=True), torch.nn.Flatten())


def test_layers_of_a_network_are_features_and_the_network_stays_as_it_is():
    torch.manual_seed(0)
    network, image = Tiny().train(), bird(24).image
    before = {name: value.clone() for name, value in network.state_dict().items()}
    maps = FeatureExtractor(network, ["0", "1"], lambda picture: picture - 0.5)
    found = maps(image)
    assert [m.shape for m in found] == [(4, 12, 12)] * 2 and found[0].min() < 0 <= found[1].min()
    assert quick(image, loss=FeatureLoss(maps)).error(image) < image.square().mean() / 2
    assert network.training and network[1].inplace and network[0].weight.grad is None
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for names in (["3"], [], "0"):
        with pytest.raises(ValueError, match="layers: expected some of"): FeatureExtractor(network, names)
    with pytest.raises(ValueError, match=r"layers: expected maps \(1, C, h, w\) from 2"):
        FeatureExtractor(network, ["2"])(image)
    for wrong in ({"pixel_weight": -1.0}, {"eps": 0.0}, {"pixel_weight": math.nan}):
        with pytest.raises(ValueError, match="FeatureLoss: expected"): FeatureLoss(**wrong)


def test_errors_are_weighed_whatever_the_loss_and_one_number_is_refused():
    scene = bird(32)
    def number(canvas, image): return (canvas - image).square().mean()
    def errors(canvas, image): return (canvas - image).square()
    same = [quick(scene.image, masks=scene.mask, foreground_weight=5.0, loss=loss).strokes for loss in ("l2", errors)]
    assert torch.equal(*same) and torch.equal(quick(scene.image, loss=number).strokes, quick(scene.image).strokes)
    large = bird(48, seed=4)
    near = [quick(large.image, strokes=24, masks=large.mask, steps=100, foreground_weight=f, loss="features").render()
            for f in (1.0, 10.0)]
    inside = [((canvas - large.image).square() * large.mask).mean() for canvas in near]
    assert inside[1] < inside[0]
    with pytest.raises(ValueError, match="foreground_weight: expected a loss that gives"):
        quick(scene.image, masks=scene.mask, foreground_weight=5.0, loss=number)
    for wrong in (lambda canvas, image: 0.5, lambda canvas, image: canvas[:, 1:]):
        with pytest.raises(ValueError, match="loss: expected a number or errors"): quick(scene.image, loss=wrong)


def test_strokes_are_placed_where_they_help():
    objective = make_objective(bird(48).image, "bezier", "black", Constraints(), "l2")
    strokes, region_ids = propose_strokes(objective, objective.blank, 20, 0.06, torch.Generator().manual_seed(0))
    assert objective(objective.render(strokes, region_ids)) < objective(objective.blank) / 2


def test_limits_hold():
    image, palette = bird().image, ((0.9, 0.9, 0.8), (0.1, 0.2, 0.1), (0.2, 0.5, 0.9))
    grey = quick(image, constraints=Constraints(grey=True)).strokes
    assert torch.equal(grey[:, -3], grey[:, -1]) and torch.equal(grey[:, -3], grey[:, -2])
    held = quick(image, constraints=Constraints(palette=palette, opaque=True, min_width=0.1)).strokes
    assert set(map(tuple, held[:, -3:].tolist())) <= set(map(tuple, torch.tensor(palette).tolist()))
    assert (held[:, 8:10] == 1).all() and (2 * (1 + 63 * held[:, 6:8]) / 256 >= 0.1 - 1e-6).all()
    blocks = quick(image, primitive="block", constraints=Constraints(opaque=True)).strokes
    assert (blocks[:, 3] == 1).all()


def test_masks_confine_and_a_weight_draws_in():
    scene = bird(48, seed=4)
    plain, drawn = (quick(scene.image, strokes=24, steps=300, masks=scene.instances, foreground_weight=weight)
                    for weight in (1.0, 10.0))
    inside = [((p.render() - scene.image).square() * scene.mask).mean() for p in (plain, drawn)]
    assert inside[1] < inside[0] and drawn.layer.sum() > plain.layer.sum()
    assert drawn.blend_mode == "masked" and torch.equal(drawn.layer, (drawn.instance >= 0).long())
    only = drawn.strokes[drawn.layer == 1]
    alone = Painting(only, drawn.size, blend_mode="masked", masks=drawn.masks, layer=torch.ones(len(only)).long(),
                     instance=drawn.instance[drawn.layer == 1])
    assert (alone.render() * (1 - scene.mask)).abs().max() == 0


@pytest.mark.parametrize("opacity", ["free", "oil"])
@pytest.mark.parametrize("blend_mode", ["plain", "masked", "paper"])
def test_refine_moves_strokes_and_nothing_else(opacity, blend_mode):
    scene, generator = bird(32), torch.Generator().manual_seed(0)
    known = {} if blend_mode == "plain" else {"masks": scene.instances, "layer": torch.arange(8) % 2}
    rough = Painting(random_strokes(8, generator=generator)[0], (64, 64), opacity=opacity, blend_mode=blend_mode,
                     background="white", title="mine", **known)
    fine = refine(rough, scene.image, steps=25)
    assert fine.error(scene.image) < rough.error(scene.image) / 2
    assert (fine.size, fine.title, len(fine)) == ((64, 64), "mine", 8)
    assert (fine.opacity, fine.blend_mode) == (opacity, blend_mode)
    assert fine.layer is None or torch.equal(fine.layer, rough.layer)
    assert torch.equal(refine(rough, scene.image, steps=0).strokes, rough.strokes)


def test_prune_leaves_out_what_nobody_sees():
    image = bird(48).image
    painting = quick(image, strokes=20, steps=60)
    floor = torch.tensor([[-0.0, y, 0.5, y, 1, y, 1, 1, 1, 1, 0, 0, 0] for y in (0.1, 0.4, 0.7, 1.0)])
    unseen = random_strokes(5, generator=torch.Generator().manual_seed(0))[0]
    both = Painting(torch.cat((unseen, floor, painting.strokes)), painting.size, step=torch.arange(29))
    left = prune_strokes(both, image, 1e-6)
    assert len(left) <= 24 and left.error(image) < painting.error(image) + 1e-4
    assert torch.equal(left.strokes, both.strokes[left.step])
    assert len(prune_strokes(both, image, 10.0)) == 0 and len(quick(image, prune_threshold=10.0)) == 0


class Impatient:
    "A loss that interrupts once, after so many steps."
    __name__ = "impatient"

    def __init__(self, after): self.left = after

    def __call__(self, canvas, image):
        if canvas.requires_grad:
            self.left -= 1
            if self.left == 0: raise KeyboardInterrupt
        return (canvas - image).square().mean()


@settings(max_examples=6)
@given(after=st.integers(1, 40), bundle=st.sampled_from([0, 4]))
def test_interrupted_and_resumed_is_never_interrupted(after, bundle, tmp_path_factory):
    image, folder = bird(24).image, tmp_path_factory.mktemp("kept") / "state"
    same = {"steps": 20, "bundle": bundle, "checkpoint_dir": folder}
    stopped = quick(image, loss=Impatient(after), **same)
    finished = [quick(image, loss=Impatient(10**9), **same | how) for how in ({}, {}, {"checkpoint_dir": None})]
    assert all(torch.equal(finished[-1].strokes, other.strokes) for other in finished)
    if "interrupted_after" in stopped.provenance: assert stopped.provenance["interrupted_after"] == after - 1
    else: assert after > 20 and not bundle
    with pytest.raises(ValueError, match="another picture"): quick(image, loss=Impatient(9), **same | {"seed": 1})


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (20, 90)])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_any_size(size, name):
    image = torch.full((3, *size), 0.5)
    painting = quick(image, strokes=3, steps=10, primitive=name)
    assert painting.size == size and painting.strokes.isfinite().all()


@pytest.mark.parametrize("strokes", [1, 2, 9])
def test_any_number_of_strokes_and_steps(strokes):
    for steps in (1, 2, 7): assert len(quick(bird(16).image, strokes=strokes, steps=steps)) == strokes


@pytest.mark.parametrize(("wrong", "said"), [
    ({"strokes": 0}, "strokes: expected"), ({"steps": 2.5}, "steps: expected"), ({"bundle": -1}, "bundle: expected"),
    ({"loss": "psnr"}, "loss: unknown name"),
    ({"foreground_weight": 3.0}, "foreground_weight: expected"),
    ({"prune_threshold": -1.0}, "prune_threshold: expected"),
    ({"prune_threshold": math.nan}, "prune_threshold: expected"), ({"primitive": "spray"}, "primitive: unknown name"),
    ({"seed": True}, "seed"),
    ({"masks": torch.ones(1, 4, 4)}, "masks: expected"), ({"masks": torch.full((1, 16, 16), 2.0)}, "masks: expected"),
    ({"background": "blue"}, "background: expected"),
])
def test_refusals(wrong, said):
    with pytest.raises(ValueError, match=said): quick(bird(16).image, **wrong)


@pytest.mark.parametrize("wrong", [{"palette": ((2.0, 0, 0),)}, {"min_width": 0.9}, {"min_width": math.nan},
                                   {"grey": True, "palette": ((0, 0, 0),)}])
def test_limits_refuse(wrong):
    with pytest.raises(ValueError, match="expected"): Constraints(**wrong)


@given(h=st.integers(1, 60_000), w=st.integers(1, 60_000))
def test_the_copy_is_bounded(h, w):
    short, long = sorted(working_size((h, w)))
    assert 1 <= short <= 128 and short * long <= 4 * 128**2 + long + short
    if max(h, w) <= 4 * min(h, w) and min(h, w) > 32: assert short == min(128, h, w)


def pictures():
    rgb = Image.fromarray((bird(40).image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).resize((60, 40))
    png, gif = io.BytesIO(), io.BytesIO()
    rgb.save(png, "PNG")
    rgb.save(gif, "GIF", save_all=True, append_images=[rgb.rotate(90), rgb])
    grey = np.asarray(rgb.convert("L"))
    return {"pil": rgb, "bytes": png.getvalue(), "gif": gif.getvalue(), "array": np.asarray(rgb), "grey": grey,
            "16 bit": grey.astype(np.uint16) * 257, "cmyk": rgb.convert("CMYK"), "alpha": rgb.convert("RGBA"),
            "palette": rgb.quantize(16), "tensor": torch.from_numpy(np.array(rgb)).permute(2, 0, 1) / 255}


@pytest.mark.parametrize("form", ["pil", "bytes", "gif", "array", "grey", "16 bit", "cmyk", "alpha", "palette",
                                  "tensor"])
def test_every_form_of_picture(form):
    copy, size = working_copy(decode_picture(pictures()[form]))
    assert size == (40, 60) and copy.shape == (3, 40, 60) and 0 <= copy.min() <= copy.max() <= 1
    wanted, _ = working_copy(decode_picture(pictures()["grey" if form == "16 bit" else "pil"]))
    assert (copy - wanted).abs().mean() < 0.2


@pytest.mark.parametrize("wrong", [b"", b"text", 3, None, np.zeros((4, 4)), np.zeros((4, 4, 5), np.uint8),
                                   np.zeros((0, 4, 3), np.uint8), torch.zeros(4, 4), torch.full((3, 4, 4), torch.nan)])
def test_no_picture(wrong):
    with pytest.raises(ValueError, match="expected|not a picture"): paint(wrong, 3)


def test_paint_keeps_size_and_title_and_takes_masks(tmp_path, monkeypatch):
    monkeypatch.setattr("sgpaint.agent.paint.BUDGETS", {"fast": 20})
    scene = bird(40)
    array = (scene.image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(array).resize((200, 160)).save(tmp_path / "wren.png")
    painting = paint(tmp_path / "wren.png", 8, "fast", progress_bar=False)
    assert painting.size == (160, 200) and painting.title == "wren" and len(painting) == 8
    masked = paint(array, 8, "fast", masks=scene.mask.numpy()[0] > 0.5, progress_bar=False)
    assert masked.blend_mode == "masked" and masked.size == (40, 40)
    for wrong in (torch.ones(1, 9, 9), torch.full((1, 40, 40), 7.0)):
        with pytest.raises(ValueError, match="masks: expected"): paint(array, 8, "fast", masks=wrong)
    with pytest.raises(ValueError, match="budget: expected"): paint(array, 8, "slow")


def test_without_a_compiler_it_is_coarse_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_PIXELS", 16)
    monkeypatch.setattr("sgpaint.agent.paint.EAGER_STEPS", 8)
    monkeypatch.setenv("SGPAINT_EAGER", "1")
    with caplog.at_level("WARNING", "sgpaint"): painting = paint(bird(40).image, 5, progress_bar=False)
    assert "no C++ compiler" in caplog.text and painting.size == (40, 40)


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sgpaint.agent.paint.BUDGETS", {"good": 10})
    picture, out = tmp_path / "a.png", tmp_path / "a.json"
    Image.fromarray((bird(32).image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(picture)
    assert main(["paint", str(picture), "-o", str(out), "-n", "4"]) == 0
    assert len(Painting.load(out)) == 4 and str(out) in capsys.readouterr().out
    for words in ([str(tmp_path / "no.png"), "-o", str(out)], [str(picture), "-o", str(picture)],
                  [str(picture), "-o", str(tmp_path / "a.xyz")]):
        assert main(["paint", *words]) == 2 and "sgpaint: " in capsys.readouterr().err


def test_paint_is_at_the_front_door():
    import sgpaint

    assert sgpaint.paint is paint
    with pytest.raises(AttributeError, match="pain"): _ = sgpaint.pain


@settings(max_examples=4)
@given(name=st.sampled_from(list(PRIMITIVES)), h=st.integers(20, 40), w=st.integers(20, 40))
def test_cells_make_one_painting(name, h, w):
    image = torch.rand(3, h, w, generator=torch.Generator().manual_seed(h * w))
    one = paint(image, 7, "fast", primitive=name, progress_bar=False, divide=2)
    assert (len(one), one.size, one.blend_mode, one.provenance["divide"]) == (7, (h, w), "plain", 2)
    assert one.error(image) < image.square().mean()


@pytest.mark.parametrize("name", PRIMITIVES)
def test_strokes_of_a_cell_go_back_to_where_it_was_cut(name):
    f, size, box = PRIMITIVES[name], (60, 90), (30, 20, 60, 40)
    strokes = random_strokes(6, name, generator=torch.Generator().manual_seed(1))[0]
    for column in ("r0", "r2"):  # large enough for the cell
        if column in f.columns: strokes[:, f.columns.index(column)] = 0.1 + 0.3 * strokes[:, f.columns.index(column)]
    cell = Painting(strokes, (20, 30), name).render((160, 240))
    whole = Painting(tile_to_picture(strokes, box, size, f), size, name).render((480, 720))
    assert (whole[:, 160:320, 240:480] - cell).abs().mean() < 1e-3


def test_cells_are_refused_by_name():
    image = bird().image
    for wrong in (0, -1, 2.0, 17, "2"):
        with pytest.raises(ValueError, match="divide: expected"):
            paint(image, 400, "fast", progress_bar=False, divide=wrong)
    with pytest.raises(ValueError, match="divide: expected"): paint(image, 3, "fast", progress_bar=False, divide=2)


class Halftone:
    """A third party's renderer: the exact alpha under a screen of dots; differentiable, or saying that it is not."""
    primitives, in_browser = ("bezier", "circle"), False

    def __init__(self, name="halftone", differentiable=True): self.name, self.differentiable = name, differentiable

    def __call__(self, strokes, size, primitive):
        alpha, colour = render(strokes, size, primitive)
        y, x = torch.meshgrid(*(torch.arange(float(n)) for n in size), indexing="ij")
        return alpha * (0.75 + 0.25 * torch.sin(2 * x) * torch.sin(2 * y)), colour


@pytest.fixture
def halftone():
    found = RENDERERS.register("halftone", Halftone())
    yield found
    RENDERERS.remove("halftone")


def test_strokes_are_found_through_another_renderer(halftone):
    check_renderer(halftone)
    image = bird(48).image
    plain, named = quick(image), quick(image, renderer="halftone")
    assert torch.equal(named.strokes, quick(image, renderer=halftone).strokes)
    assert named.renderer == "halftone" and not torch.equal(plain.strokes, named.strokes)
    assert named.error(image) < Painting(plain.strokes, plain.size, renderer="halftone").error(image)
    assert refine(named, image, 10).renderer == "halftone" and len(prune_strokes(named, image, 1.0)) == 0
    for how in ({}, {"divide": 2}, {"budget": "instant"}):
        found = paint(image, 8, **{"budget": "fast", "renderer": "halftone", "progress_bar": False} | how)
        assert (found.renderer, found.provenance["how"]) == ("halftone", "optimize")


def test_renderers_that_cannot_be_used_are_refused_before_the_work(halftone):
    image = bird(16).image
    still = RENDERERS.register("still", Halftone("still", differentiable=False))
    try:
        for budget in ("instant", "fast"):
            with pytest.raises(ValueError, match="renderer: expected a differentiable one"):
                paint(image, 5, budget, renderer=still)
        with pytest.raises(ValueError, match="renderer: expected a differentiable one"): quick(image, renderer="still")
    finally: RENDERERS.remove("still")
    for wrong, said in (({"renderer": "halfton"}, "did you mean 'halftone'"),
                        ({"renderer": "halftone", "primitive": "line"}, "halftone draws bezier, circle, not line"),
                        ({"renderer": Halftone("mine")}, "expected a registered one")):
        with pytest.raises(ValueError, match=said): quick(image, **wrong)


def test_what_a_painting_cannot_keep_is_refused_before_the_work():
    calls = []
    def counted(canvas, target): return calls.append(1) or (canvas - target).square()
    with pytest.raises(ValueError, match="title"): quick(bird(16).image, title="\ud800", loss=counted)
    assert not calls or len(calls) == 1  # the loss of the empty canvas


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    image, folder = bird(16).image, tmp_path / "state"
    folder.mkdir()
    (folder / "wedding.jpg").write_bytes(b"us two")
    with pytest.raises(ValueError, match="holds no saved state that can be read; choose another folder"):
        quick(image, checkpoint_dir=folder)
    assert (folder / "wedding.jpg").read_bytes() == b"us two"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert torch.equal(quick(image, checkpoint_dir=empty).strokes, quick(image, checkpoint_dir=empty).strokes)


def test_a_state_whose_last_save_was_cut_off_is_found(tmp_path):
    image, folder = bird(16).image, tmp_path / "state"
    whole = quick(image, checkpoint_dir=folder)
    folder.rename(tmp_path / ".state.old")  # killed between the two renames of `checkpoint.save`
    assert torch.equal(quick(image, checkpoint_dir=folder).strokes, whole.strokes)
    assert folder.is_dir() and not (tmp_path / ".state.old").exists()


@pytest.mark.parametrize("after", [1, 25, 90])
def test_an_interruption_ends_all_tiles(after, tmp_path, caplog):
    image, folder = bird(32).image, tmp_path / "tiles"
    same = {"budget": "fast", "divide": 2, "progress_bar": False, "checkpoint_dir": folder}
    loss = Impatient(after)
    stopped = paint(image, 24, loss=loss, **same)
    assert loss.left == 0 and len(stopped) < 24 and "interrupted in tile 1 of 4" in caplog.text  # no step after it
    assert stopped.size == (32, 32) and stopped.provenance["interrupted_after_tiles"] == 1
    finished = [paint(image, 24, loss=Impatient(10**9), **same | how) for how in ({}, {"checkpoint_dir": None})]
    assert torch.equal(*(painting.strokes for painting in finished)) and len(finished[0]) == 24


def test_few_strokes_for_each_tile_are_mentioned(monkeypatch, caplog):
    monkeypatch.setattr("sgpaint.agent.paint.BUDGETS", {"fast": 3})
    for strokes, said in ((399, True), (400, False)):
        caplog.clear()
        paint(bird(16).image, strokes, "fast", divide=2, progress_bar=False)
        assert ("divide=1 is better" in caplog.text) == said


@pytest.mark.parametrize("budget", ["instant", "fast"])
def test_counts_that_are_none_are_refused_by_name(budget):
    for strokes in (0, -1, 2.5, "10", True, None):
        with pytest.raises(ValueError, match="strokes: expected an integer of 1 or more"):
            paint(bird(16).image, strokes, budget)
    with pytest.raises(ValueError, match="seed: expected"): paint(bird(16).image, 5, budget, seed=-1)
    with pytest.raises(ValueError, match="title: expected"): paint(bird(16).image, 5, budget, title="\ud800")
