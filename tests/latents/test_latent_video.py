"""Videos through latent space: key frames, loops, cells and tracks, pixel for pixel."""

import numpy as np
import pytest
import torch
from PIL import Image

from stylegan.images import to_uint8
from stylegan.latents.cells import side_by_side
from stylegan.latents.drawer import Drawer
from stylegan.latents.feature_blend import group_size
from stylegan.latents.interpolation import Scene, loops_of_seeds, through_points
from stylegan.latents.latent_files import write_latents
from stylegan.latents.paths.loops import walk_latents
from stylegan.latents.paths.timing import seconds_of_legs
from stylegan.latents.points import parse_points
from stylegan.latents.seeds import noise_of
from stylegan.latents.timeline import parse_timeline
from stylegan.latents.tracks import parse_audio_tracks
from stylegan.ops import upsample2d
from tests.latents.test_sampling import fresh_generator

SMALL = dict(resolution=16, mapping_layers=2)
KINDS = {
    "rgb": {},
    "conditional": {"c_dim": 3},
    "grey": {"channels": 1},
    "rgba": {"channels": 4, "architecture": "resnet"},
    "rectangular": {"resolution": (12, 20)},
}


def drawer_of(seed=0, noise_mode="const", truncation=0.7, **options):
    return Drawer(
        fresh_generator(seed, **{**SMALL, **options}),
        device="cpu",
        precision="fp32",
        truncation=truncation,
        noise_mode=noise_mode,
    )


def pixels(video, first=0, last=None):
    return torch.cat(list(video.draw(first, video.count if last is None else last)))


def images(drawer, points, label=None):
    """What task=images draws of each point, one at a time."""
    return torch.cat(
        [
            drawer.images(
                drawer.ws([point], label),
                noise_seeds=[point.noise_seed],
                noise=None if point.noise is None else {k: v[None] for k, v in point.noise.items()},
            )
            for point in points
        ]
    )


def through(drawer, seeds, leg_sec="1", rate=4, **options):
    options.setdefault("scene", Scene(rate=rate))
    return through_points(drawer, parse_points(seeds), leg_sec=seconds_of_legs(leg_sec), **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("space", "curve"), [("z", "slerp"), ("w", "cubic")])
def test_key_frames_are_the_images_in_the_order_given(kind, space, curve):
    drawer = drawer_of(**KINDS[kind])
    label = torch.eye(3)[1] if drawer.generator.c_dim else None
    video = through(drawer, "5,7-6,5,5", "1,0.5,1.5,1", space=space, curve=curve, labels=[label])
    expected = images(drawer, parse_points("5,7-6,5,5"), label)
    knots = [0, 4, 6, 12, 16]
    drawn = pixels(video)
    assert video.count == len(drawn) == 17
    assert drawn.shape[1:] == (drawer.channels, *drawer.size) and drawn.shape[2:] == video.size
    assert torch.equal(drawn[knots], expected)
    # A repeated key stays, and elsewhere every frame is another one.
    assert all(torch.equal(frame, expected[-1]) for frame in drawn[12:])
    assert all(not torch.equal(a, b) for a, b in zip(drawn[:12], drawn[1:13], strict=True))


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
@pytest.mark.parametrize("curve", ["linear", "slerp", "cubic"])
def test_key_frames_have_the_noise_of_their_image(noise_mode, curve):
    drawer = drawer_of(noise_mode=noise_mode)
    drawn = pixels(through(drawer, "1,2,3", curve=curve))
    assert torch.equal(drawn[::4], images(drawer, parse_points("1,2,3")))


def test_any_part_has_the_pixels_of_the_whole():
    drawer = drawer_of()
    scene = Scene(
        rate=5, grid=(3, 1), timeline=parse_timeline("psi: {wave: {low: 0, high: 1, times: 2}}\nnoise: 0.5")
    )
    video = loops_of_seeds(drawer, [1], duration_sec=4, smoothing_sec=0.5, scene=scene)
    whole = pixels(video)
    for first, last in [(0, 1), (7, 8), (5, 18), (19, 20)]:
        assert torch.equal(pixels(video, first, last), whole[first:last])


def test_an_open_path_ends_with_its_last_key_and_a_loop_closes_once():
    drawer = drawer_of()
    once = pixels(through(drawer, "0-2", loop=True))
    assert len(once) == 12
    repeated = pixels(through(drawer, "0-2,0", loop=True))
    assert torch.equal(once, repeated)
    opened = pixels(through(drawer, "0-2,0"))
    assert len(opened) == 13 and torch.equal(opened[-1], opened[0]) and torch.equal(opened[:12], once)


@pytest.mark.parametrize("curve", ["linear", "slerp", "cubic"])
def test_a_loop_through_keys_closes_with_a_step_as_its_neighbours(curve):
    drawer = drawer_of()
    video = through(drawer, "0,1,2", rate=10, curve=curve, loop=True)
    ws = torch.stack([video.ws(frame)[0] for frame in range(video.count)])
    steps = (torch.cat([ws[1:], ws[:1]]) - ws).flatten(1).norm(dim=1)
    assert 0 < steps[-1] < 1.5 * steps[-5:-1].max() and steps[-1] > 0.5 * steps[-5:-1].min()
    assert torch.equal(ws[0, None], drawer.ws(parse_points("0")))


@pytest.mark.parametrize("kind", ["walk", "circle", "noise"])
def test_loops_close_with_a_step_as_their_neighbours(kind):
    drawer = drawer_of()
    scene = Scene(rate=10)
    video = loops_of_seeds(drawer, [3], kind, duration_sec=5, smoothing_sec=0.5, scene=scene)
    drawn = pixels(video).double()
    assert len(drawn) == 50
    steps = (torch.cat([drawn[1:], drawn[:1]]) - drawn).abs().mean(dim=(1, 2, 3))
    assert 0 < steps[-1] < 2 * steps.median() and steps.min() > 0


def test_the_latents_of_a_walk_are_the_formula():
    drawer = drawer_of()
    scene = Scene(rate=10)
    video = loops_of_seeds(drawer, [3], duration_sec=2, smoothing_sec=0.5, scene=scene)
    z = walk_latents(3, 20, 24, smoothing_frames=5.0)
    expected = drawer.truncated(drawer.sampler.map(torch.from_numpy(z.astype(np.float32))))
    assert all(torch.equal(video.ws(frame)[0], expected[frame]) for frame in range(20))


def test_slowdown_takes_the_same_path_and_closes_too():
    drawer = drawer_of()
    scene = Scene(rate=10)
    fast = loops_of_seeds(drawer, [3], duration_sec=2, smoothing_sec=0.3, scene=scene)
    slow = loops_of_seeds(drawer, [3], duration_sec=2, smoothing_sec=0.3, slowdown=2, scene=scene)
    odd = loops_of_seeds(drawer, [3], duration_sec=2, smoothing_sec=0.3, slowdown=1.35, scene=scene)
    assert (fast.count, slow.count, odd.count) == (20, 40, 27)
    assert torch.equal(pixels(slow)[::2], pixels(fast))
    assert odd.position(27, 0) == 20
    keys = through(drawer, "1,2", slowdown=2.5)
    assert keys.count == 11 and torch.equal(pixels(keys)[-1:], images(drawer, parse_points("2")))


def test_one_seed_fills_the_grid_and_a_list_has_a_walk_a_seed():
    drawer = drawer_of(channels=1)
    options = dict(duration_sec=1, smoothing_sec=0.2)
    filled = loops_of_seeds(drawer, [3], scene=Scene(rate=4, grid=(3, 2)), **options)
    z = walk_latents(3, 4, 24, smoothing_frames=0.8, cells=6)
    expected = drawer.truncated(drawer.sampler.map(torch.from_numpy(z[2].astype(np.float32))))
    assert torch.equal(filled.ws(2), expected)
    assert pixels(filled).shape == (4, 1, 32, 48)
    several = pixels(loops_of_seeds(drawer, [3, 9, 4], scene=Scene(rate=4, fill="white"), **options))
    for cell, seed in enumerate([3, 9, 4]):
        alone = pixels(loops_of_seeds(drawer, [seed], scene=Scene(rate=4), **options))
        row, column = divmod(cell, 2)
        assert torch.equal(several[:, :, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16], alone)
    assert (several[:, :, 16:, 16:] == 255).all()
    with pytest.raises(ValueError, match="grid=2x1 has 2 cells, and there are 3 seeds"):
        loops_of_seeds(drawer, [3, 9, 4], scene=Scene(grid=(2, 1)))


def test_keys_are_dealt_to_the_cells_of_a_grid():
    drawer = drawer_of()
    video = through(drawer, "1-6", scene=Scene(rate=4, grid=(2, 1)))
    drawn = pixels(video)
    assert torch.equal(drawn[..., :16], pixels(through(drawer, "1-3")))
    assert torch.equal(drawn[..., 16:], pixels(through(drawer, "4-6")))
    with pytest.raises(ValueError, match="one point for each of 6 cells"):
        through(drawer, "1-6", scene=Scene(grid=(3, 2)))


def test_points_given_as_w_keep_their_w_and_their_noise(tmp_path):
    drawer = drawer_of()
    w = drawer.raw_ws(parse_points("40,41"))
    noise = noise_of([50, 51], drawer.generator.synthesis.noise_layers)
    write_latents(tmp_path / "fox.npz", w=w, noise=noise)
    seeds = f"7,{tmp_path / 'fox.npz'}"
    points = parse_points(seeds)
    video = through(drawer, seeds, curve="slerp")
    drawn = pixels(video)
    assert torch.equal(drawn[::4], images(drawer, points))
    assert torch.equal(video.ws(8)[0], w[1])  # truncation leaves it alone
    # Half-way between the noise of both files the variance is still 1.
    half = video._latents.noise(video._rows([6])[0])
    assert half["b16.conv1"].std() == pytest.approx(1, abs=0.15)
    # It is as near to the one as to the other, and as long as both in the mean.
    first, last, between = (maps.flatten() for maps in (*noise["b16.conv1"], half["b16.conv1"]))
    torch.testing.assert_close(between.norm(), (first.norm() + last.norm()) / 2)
    torch.testing.assert_close(between @ first / first.norm(), between @ last / last.norm())
    assert between @ first > 0.6 * between.norm() * first.norm()


def test_labels_count_for_each_key_frame_and_for_each_cell():
    drawer = drawer_of(c_dim=3)
    classes = torch.eye(3)
    keys = through(drawer, "1,1,1", labels=list(classes))
    drawn = pixels(keys)
    for place in range(3):
        assert torch.equal(drawn[4 * place, None], images(drawer, parse_points("1"), classes[place]))
    assert len({frame.numpy().tobytes() for frame in drawn}) == 9
    for space in ("z", "w"):
        one = pixels(through(drawer, "1,2", labels=[classes[2]], space=space))
        assert not torch.equal(one, pixels(through(drawer, "1,2", labels=[classes[1]], space=space)))
    options = dict(duration_sec=1, smoothing_sec=0.2)
    cells = pixels(loops_of_seeds(drawer, [5], labels=list(classes), scene=Scene(rate=4), **options))
    assert cells.shape == (4, 3, 32, 32)
    alone = pixels(loops_of_seeds(drawer, [5], labels=[classes[1]], scene=Scene(rate=4), **options))
    assert torch.equal(cells[..., :16, 16:], alone)


def test_a_label_track_passes_from_class_to_class():
    drawer = drawer_of(c_dim=3)
    text = "label:\n- {time_sec: 0, value: 0}\n- {time_sec: 1, value: 2}"
    for space in ("z", "w"):
        video = through(
            drawer,
            "4,4",
            labels=[torch.eye(3)[1]],
            space=space,
            scene=Scene(rate=4, timeline=parse_timeline(text)),
        )
        drawn = pixels(video)
        assert torch.equal(drawn[:1], images(drawer, parse_points("4"), torch.eye(3)[0]))
        assert torch.equal(drawn[-1:], images(drawer, parse_points("4"), torch.eye(3)[2]))
        middle = images(drawer, parse_points("4"), torch.tensor([0.5, 0, 0.5]))
        assert torch.equal(drawn[2:3], middle)


def test_a_psi_track_is_the_truncation_of_each_frame():
    drawer = drawer_of()
    text = "psi:\n- {time_sec: 0, value: 0.25}\n- {time_sec: 1, value: 1}"
    for space in ("z", "w"):
        drawn = pixels(
            through(drawer, "4,4", space=space, scene=Scene(rate=4, timeline=parse_timeline(text)))
        )
        for frame, psi in [(0, 0.25), (2, 0.625), (4, 1.0)]:
            assert torch.equal(drawn[frame, None], drawer.images(drawer.ws(parse_points("4"), psi=psi)))


def test_a_wave_over_the_grid_is_a_pulse_that_comes_later():
    drawer = drawer_of()
    text = "psi: {wave: {low: 0, high: 1, period_sec: 2}}"
    options = dict(duration_sec=2, smoothing_sec=0)
    scene = Scene(rate=4, grid=(2, 1), timeline=parse_timeline(text))
    video = loops_of_seeds(drawer, [3], scene=scene, **options)
    assert video._modulation.psi(video._rows([0])).tolist() == pytest.approx([0, 1])
    assert video._modulation.psi(video._rows([4])).tolist() == pytest.approx([1, 0])


def test_style_tracks_bring_in_the_layers_of_another_latent():
    drawer = drawer_of()
    text = "styles.9:\n  layers: 2-4\n  keys:\n  - {time_sec: 0, value: 0}\n  - {time_sec: 1, value: 1}"
    video = through(drawer, "4,4", scene=Scene(rate=4, timeline=parse_timeline(text)))
    own, other = drawer.ws(parse_points("4"))[0], drawer.ws(parse_points("9"))[0]
    assert torch.equal(video.ws(0)[0], own)
    mixed = torch.cat([own[:2], other[2:5], own[5:]])
    assert torch.equal(video.ws(4)[0], mixed)
    torch.testing.assert_close(video.ws(2)[0], (own + mixed) / 2)


def test_direction_tracks_move_along_a_file_next_to_the_timeline(tmp_path):
    drawer = drawer_of()
    vector = np.random.default_rng(0).standard_normal(32).astype(np.float32)
    np.save(tmp_path / "smile.npy", vector)
    text = "direction.smile.npy:\n- {time_sec: 0, value: 0}\n- {time_sec: 1, value: 2}"
    scene = Scene(rate=4, timeline=parse_timeline(text, folder=tmp_path))
    video = through(drawer, "4,4", scene=scene)
    own = drawer.ws(parse_points("4"))[0]
    assert torch.equal(pixels(video)[:1], drawer.images(own[None]))
    torch.testing.assert_close(video.ws(3)[0], own + 1.5 * torch.from_numpy(vector))
    layers = parse_timeline("direction.smile.npy: {layers: '0,2', keys: 1}", folder=tmp_path)
    moved = through(drawer, "4,4", scene=Scene(rate=4, timeline=layers)).ws(0)[0]
    torch.testing.assert_close(moved[[0, 2]], own[[0, 2]] + torch.from_numpy(vector))
    assert torch.equal(moved[[1, 3, 4]], own[[1, 3, 4]])


def test_a_track_takes_the_place_of_the_strength_of_a_named_direction(tmp_path):
    np.save(tmp_path / "smile.npy", np.ones(32, dtype=np.float32))
    drawer = Drawer(fresh_generator(0, **SMALL), device="cpu", directions=f"{tmp_path / 'smile.npy'}:2")
    still = through(drawer, "4,5")
    assert torch.equal(pixels(still)[:1], images(drawer, parse_points("4")))
    scene = Scene(rate=4, timeline=parse_timeline("direction.smile: -1"))
    torch.testing.assert_close(through(drawer, "4,5", scene=scene).ws(0), still.ws(0) - 3)


def test_noise_tracks_scale_the_noise():
    const, none = drawer_of(), drawer_of(noise_mode="none")
    silent = pixels(through(const, "4,4", scene=Scene(rate=4, timeline=parse_timeline("noise: 0"))))
    # Zero maps and no maps differ by the rounding of the sum alone.
    assert (silent.int() - pixels(through(none, "4,4")).int()).abs().max() <= 1
    whole = pixels(through(const, "4,4", scene=Scene(rate=4, timeline=parse_timeline("noise: 1"))))
    assert (whole.int() - pixels(through(const, "4,4")).int()).abs().max() <= 1
    assert (whole.int() - silent.int()).abs().max() > 5


def test_speed_moves_along_the_path_and_says_where_it_does_not_close(capsys):
    drawer = drawer_of()
    options = dict(duration_sec=2, smoothing_sec=0.3)
    usual = pixels(loops_of_seeds(drawer, [3], scene=Scene(rate=4), **options))
    double = pixels(
        loops_of_seeds(drawer, [3], scene=Scene(rate=4, timeline=parse_timeline("speed: 2")), **options)
    )
    assert torch.equal(double, usual[[0, 2, 4, 6, 0, 2, 4, 6]])
    assert capsys.readouterr().out == ""
    loops_of_seeds(drawer, [3], scene=Scene(rate=4, timeline=parse_timeline("speed: 0.7")), **options)
    assert "the path is travelled 0.7 times" in capsys.readouterr().out


def test_several_latents_in_one_frame_by_cells_and_weights():
    drawer = drawer_of()
    text = "frame: {cells: 2x1, blend: pixels}\nweight.1: {pulse: {low: 0, high: 1, times: 1}}"
    options = dict(duration_sec=2, smoothing_sec=0.3)
    drawn = pixels(
        loops_of_seeds(drawer, [3, 9], scene=Scene(rate=4, timeline=parse_timeline(text)), **options)
    )
    left, right = (pixels(loops_of_seeds(drawer, [seed], scene=Scene(rate=4), **options)) for seed in (3, 9))
    assert drawn.shape == left.shape
    assert torch.equal(drawn[..., :8], left[..., :8])
    assert torch.equal(drawn[..., 8:], right[..., 8:])
    with pytest.raises(ValueError, match="frame has 2 cells, and there are 3 seeds"):
        loops_of_seeds(drawer, [3, 9, 4], scene=Scene(timeline=parse_timeline(text)))
    with pytest.raises(ValueError, match="track weight.2 is of a cell, and the frame has 2"):
        loops_of_seeds(drawer, [3], scene=Scene(timeline=parse_timeline(text.replace("t.1", "t.2"))))


@pytest.mark.parametrize("kind", KINDS)
def test_latents_blended_in_features_share_one_image(kind, tmp_path):
    drawer = drawer_of(**KINDS[kind])
    labels = [torch.eye(3)[1] if drawer.generator.c_dim else None]
    options = dict(labels=labels, duration_sec=2, smoothing_sec=0.3)

    def film(seeds, text):
        timeline = parse_timeline(text, folder=tmp_path)
        return loops_of_seeds(drawer, seeds, scene=Scene(rate=4, timeline=timeline), **options)

    alone = pixels(loops_of_seeds(drawer, [9], scene=Scene(rate=4), **options))
    # All the weight on one of three latents: the pixels are those of its own video.
    (tmp_path / "masks").mkdir()
    for number in range(3):
        Image.new("L", (8, 8), "white").save(tmp_path / "masks" / f"{number}.png")
    last = pixels(film([3, 4, 9], "frame: {mask: masks}\nweight.0: 0\nweight.1: 0"))
    assert torch.equal(last, alone)
    same = pixels(film([9, 9, 9], "frame: {cells: 3x1, softness: 0.7}"))
    assert (same.int() - alone.int()).abs().max() <= 1
    video = film([3, 4, 9], "frame: {cells: 3x1, softness: 0.3}")
    whole = pixels(video)
    assert torch.equal(whole[3:6], pixels(video, 3, 6))
    assert video.size == drawer.size and not torch.equal(whole, alone)
    # Afterwards the network draws as before.
    assert torch.equal(pixels(loops_of_seeds(drawer, [9], scene=Scene(rate=4), **options)), alone)


def test_features_are_blended_after_each_layer():
    """Against the layers run by hand, each on what the one before gave, by the same shares."""
    drawer = drawer_of(resolution=8)
    scene = Scene(rate=4, timeline=parse_timeline("frame: {cells: 2x1, softness: 0.5}"))
    video = loops_of_seeds(drawer, [3, 4], scene=scene, duration_sec=1, smoothing_sec=0.2)
    ws, synthesis = video.ws(1), drawer.generator.synthesis
    shares = torch.from_numpy(side_by_side(2, 1, (8, 8), 0.5)).float()

    def mean(output):
        share = torch.nn.functional.adaptive_avg_pool2d(shares, output.shape[-2:])[:, None]
        return (share * output).sum(dim=0, keepdim=True).expand(2, -1, -1, -1)

    low, high = synthesis.b4, synthesis.b8
    x = mean(low.conv1(low.const.expand(2, -1, -1, -1), ws[:, 0], low.conv1.noise_const))
    image = mean(low.torgb(x, ws[:, 1]))
    x = mean(high.conv0(x, ws[:, 1], high.conv0.noise_const))
    x = mean(high.conv1(x, ws[:, 2], high.conv1.noise_const))
    image = upsample2d(image, high.resample_filter) + mean(high.torgb(x, ws[:, 3]))
    expected = to_uint8(image)[:1]
    assert (pixels(video, 1, 2).int() - expected.int()).abs().max() <= 1


def test_a_crop_cuts_the_regions_of_the_whole():
    """The frame of the middle alone is the middle of one whose regions are those, continued to its borders."""
    drawer = drawer_of()
    cut = Drawer(drawer.generator, device="cpu", precision="fp32", truncation=0.7, crop="8x16")
    options = dict(duration_sec=1, smoothing_sec=0.2)
    scene = Scene(rate=2, timeline=parse_timeline("frame: {cells: 2x1}"))
    whole = pixels(loops_of_seeds(drawer, [3, 4], scene=scene, **options))
    middle = loops_of_seeds(cut, [3, 4], scene=scene, **options)
    # The border between both halves is in the middle of either.
    assert middle.size == (16, 8) and torch.equal(pixels(middle), whole[..., 4:12])


def test_frames_of_more_than_eight_bits_round_to_the_others():
    drawer = drawer_of()
    for text in ("", "frame: {cells: 2x1, blend: pixels}", "frame: {cells: 2x1}"):
        timeline = parse_timeline(text)
        options = dict(duration_sec=1, smoothing_sec=0.2)
        usual, deep = (
            pixels(
                loops_of_seeds(
                    drawer, [3, 4], scene=Scene(rate=3, timeline=timeline, floats=floats), **options
                )
            )
            for floats in (False, True)
        )
        assert deep.is_floating_point() and deep.abs().max() <= 1
        assert (to_uint8(deep).int() - usual.int()).abs().max() <= 1
        steps = (deep.double() * 32767.5).round()
        assert len(steps.unique()) > 2 * 256


def test_too_many_latents_for_the_features_of_a_large_network():
    with pytest.raises(ValueError, match="frame has 6 cells, and a network of this size blends at most 4"):
        group_size(6, 4)
    assert [group_size(count, 16) for count in (1, 2, 3, 5, 16)] == [1, 2, 4, 8, 16]


def test_a_sound_moves_psi_speed_noise_and_label():
    drawer = drawer_of(c_dim=3)
    label = torch.eye(3)[0]
    sound = {"bass": np.array([0, 0.5, 1, 0, 0]), "onset": np.array([0, 1, 0, 0, 0.0])}

    def film(text, **options):
        scene = Scene(rate=4, following=parse_audio_tracks(text), sounds=lambda count: sound)
        return through(drawer, "4,5", labels=[label], scene=scene, **options)

    by_psi = film("bass>psi:0.3")
    assert by_psi._modulation.psi(by_psi._rows(range(5))).tolist() == pytest.approx([0.7, 0.85, 1, 0.7, 0.7])
    by_speed = film("onset>speed:1")
    assert [by_speed.position(frame, 0) for frame in range(5)] == [0, 1, 3, 4, 5]
    assert film("bass>noise:2")._modulation.noise(by_psi._rows(range(3))) == [1, 2, 3]
    by_label = film("bass>label.2:1")
    assert torch.equal(pixels(by_label)[2], pixels(through(drawer, "4,5", labels=[torch.eye(3)[2]]))[2])


def test_more_than_four_channels_are_shown_by_their_first_three():
    drawer = drawer_of(channels=5)
    video = through(drawer, "1,2")
    assert video.channels == 3 and pixels(video, 0, 1).shape == (1, 3, 16, 16)
