"""Points: what is written on the command line, and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylegan.images import save_png
from stylegan.latents.latent_files import write_latents
from stylegan.latents.points import Point, parse_points, seeds_of, short_text, without_repeats
from stylegan.latents.seeds import MAX_SEED, parse_seeds
from stylegan.machine.sidecars import write_sidecar


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", (0,)),
        (7, (7,)),
        ("0-5,0", (0, 1, 2, 3, 4, 5, 0)),
        ("9-5", (9, 8, 7, 6, 5)),
        ("3,1,3", (3, 1, 3)),
        (" 0 - 2 , 20 ", (0, 1, 2, 20)),
        ("1 2 5-7", (1, 2, 5, 6, 7)),
        ("007", (7,)),
        (str(MAX_SEED), (MAX_SEED,)),
        ("3-3", (3,)),
        ("1,,2,", (1, 2)),
    ],
)
def test_seeds_in_the_order_written(text, seeds):
    points = parse_points(text)
    assert seeds_of(points) == seeds
    assert [point.name for point in points] == [f"seed{seed:04d}" for seed in seeds]


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(-30, 30)), min_size=1, max_size=8))
def test_any_list_of_seeds_and_ranges_is_read_as_by_hand(pairs):
    words, expected = [], []
    for first, step in pairs:
        last = max(0, first + step)
        words.append(str(first) if last == first else f"{first}-{last}")
        expected += range(first, last + 1) if last >= first else range(first, last - 1, -1)
    points = parse_points(",".join(words))
    assert list(seeds_of(points)) == expected
    # What is stored of them is read again as the same.
    assert list(seeds_of(parse_points(short_text(points)))) == expected


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20, unique=True))
def test_ascending_lists_mean_what_they_mean_to_the_older_reader(seeds):
    text = ",".join(map(str, seeds))
    assert seeds_of(parse_points(text)) == parse_seeds(text)


@given(st.text(max_size=30))
def test_any_text_is_points_or_one_line_that_names_the_key(text):
    try:
        points = parse_points(text, key="rows")
    except ValueError as error:
        assert str(error).startswith("rows") and "\n" not in str(error)
    else:
        assert points


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "seeds is empty: write seeds, ranges or latent files, as in seeds=0-5,fox.npz"),
        ("-1", "seeds=-1: neither a seed, nor a range as in 0-15, nor a file of latents"),
        ("1.5", "seeds=1.5: neither a seed"),
        ("0-1000000", "seeds=0-1000000: these are more than 1,000,000, the most at once"),
        ("0-999999,5", "these are more than 1,000,000"),
        ("4294967296", "4294967296 is above 4294967295"),
        ("9" * 5000, "is above 4294967295"),
        ("²", "neither a seed"),
        ("fox.npz", "seeds=fox.npz: there is no such file"),
        ("a/b", "seeds=a/b: there is no such file"),
        ("fox.png", "seeds=fox.png: there is no such file"),
        ("x" * 3000, "neither a seed"),
        ("a\0b", "seeds=a.x00b: no path holds a zero byte"),
        ("~nobody-here/a.npz", "knows no home folder"),
    ],
)
def test_a_mistake_is_one_line(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_points(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.fixture
def walk(tmp_path):
    write_latents(tmp_path / "walk.npz", w=torch.arange(6.0)[:, None, None].expand(6, 2, 3).clone())
    return tmp_path / "walk.npz"


def test_files_and_parts_of_them(walk):
    def numbers(text):
        return [int(point.w[0, 0]) for point in parse_points(text)]

    assert numbers(walk) == [0, 1, 2, 3, 4, 5]
    assert numbers(f"{walk}[3]") == [3]
    assert numbers(f"{walk}[1-2],{walk}[0]") == [1, 2, 0]
    (point,) = parse_points(f"{walk}[3]")
    assert (point.name, point.source) == ("walk-003", f"{walk}[3]")
    with pytest.raises(ValueError, match=r"walk.npz\[6\]: the file has 6 latents, numbered 0 to 5"):
        parse_points(f"{walk}[6]")
    with pytest.raises(ValueError, match=r"walk.npz\[3-1\]: the file has 6 latents"):
        parse_points(f"{walk}[3-1]")


def test_a_folder_gives_its_files_by_name_and_a_name_may_hold_anything(tmp_path):
    for name, value in (("b.npz", 1), ("a, c [2].npz", 0), ("note.txt", None), ("d.png.npz", 2)):
        if value is not None:
            write_latents(tmp_path / name, w=torch.full((1, 1, 3), float(value)))
    assert [int(point.w[0, 0]) for point in parse_points(tmp_path)] == [0, 1, 2]
    assert [point.name for point in parse_points(tmp_path)] == ["a, c [2]", "b", "d"]
    (point,) = parse_points(tmp_path / "a, c [2].npz")
    assert point.name == "a, c [2]"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: the folder holds no latents"):
        parse_points(tmp_path / "empty")


def test_the_digest_is_that_of_the_numbers():
    w = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    point = Point("a", "a.npz", w=w)
    assert point.digest == Point("b", "elsewhere", w=w.clone()).digest
    others = [
        Point("a", "a", w=w + 1e-6),
        Point("a", "a", w=w[:1]),
        Point("a", "a", z=w[0]),
        Point("a", "0", seed=0),
    ]
    others += [Point("a", "a", w=w, noise={"b4.conv1": torch.zeros(1, 4, 4)})]
    assert len({point.digest, *(other.digest for other in others)}) == 6
    # One row for all layers is the same latent.
    assert Point("a", "a", w=w[:1]).digest == Point("a", "a", w=w[:1].expand(4, -1)).digest
    assert point.noise_seed > MAX_SEED and Point("a", "7", seed=7).noise_seed == 7


def test_repeats_are_kept_until_files_are_named(walk):
    points = parse_points(f"3,{walk}[1],3,{walk}[1]")
    assert len(points) == 4 and len(without_repeats(points)) == 2


def test_a_picture_of_ours_is_its_seed_or_its_latent(tmp_path):
    image, text = torch.zeros(3, 4, 4, dtype=torch.uint8), {"seed": "12", "weights": "0" * 64}
    save_png(tmp_path / "mine.png", image, text)
    (point,) = parse_points(tmp_path / "mine.png")
    assert (point.seed, point.name) == (12, "seed0012")
    # The text was lost, as where a picture was posted: the file next to it says it.
    save_png(tmp_path / "posted.png", image)
    write_sidecar(tmp_path / "posted.png", text)
    assert parse_points(tmp_path / "posted.png")[0].seed == 12


@pytest.mark.parametrize(
    ("text", "latent", "message"),
    [
        (
            {},
            None,
            "does not say which seed or latent it was drawn from; task=projection target=.*a.png finds one",
        ),
        ({"seed": "-4"}, None, "does not say which seed"),
        ({"seed": "4.5"}, None, "does not say which seed"),
        ({"seed": "99999999999"}, None, "above 4294967295"),
        ({"latent": "0" * 64}, None, "its latent should be in a.png.npz, and is not there"),
        ({"latent": "0" * 64}, [1.0], "a.png.npz holds another latent than this picture's"),
    ],
)
def test_a_picture_that_does_not_lead_to_a_latent_is_refused(tmp_path, text, latent, message):
    save_png(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8), text)
    if latent is not None:
        write_latents(tmp_path / "a.png.npz", w=torch.tensor([[latent]]))
    with pytest.raises(ValueError, match=message):
        parse_points(tmp_path / "a.png")


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="does not say which seed"):
        parse_points(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"w must have the shape \[L,W\] or \[N,L,W\], got \[3\]"):
        parse_points(tmp_path / "a.npy")
