"""``mddit generate`` and ``mddit evaluate`` on a tiny model with random weights."""

import json
from pathlib import Path

import pytest
from PIL import Image

from mddit_ui.cli.main import main
from mddit_ui.core.policy import Policy

RUN = ["--steps", "3", "--prompt", "a large red ball on the left"]


@pytest.fixture
def every_2(tmp_path: Path, tiny_pixart: str) -> str:
    """A policy file for three steps of the tiny model."""
    path = tmp_path / "every-2.json"
    Policy.from_rows(["####", "====", "####"], model=tiny_pixart).save(path)
    return str(path)


def test_generate_writes_pictures_and_says_what_they_cost(
    tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = tmp_path / "out"
    argv = ["generate", "--model", tiny_pixart, *RUN, "--images", "2", "--seed", "5", "--out", str(out), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(file).name for file in told["files"]] == [
        "tiny-pixart-full-0-seed5.png",
        "tiny-pixart-full-1-seed6.png",
    ]
    for file in told["files"]:
        with Image.open(file) as image:
            assert image.size == (64, 64)
    assert told["macs"] == pytest.approx(told["full_macs"])
    assert told["score"]["images"] == 2


def test_generate_beside_full_depth(every_2: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Model and number of steps come from the policy."""
    prompt = ["--prompt", "a small blue ring at the top"]
    argv = ["generate", "--policy", every_2, *prompt, "--compare", "--out", str(tmp_path / "out")]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["files"]) == 2
    assert 0.6 < told["macs"] / told["full_macs"] < 0.8  # 2 of 3 steps and the rest
    assert told["score"]["psnr"] > 5
    assert told["peak_cache_bytes"] > 0
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "budget 0." in out
    assert "full depth: " in out


def test_a_policy_of_another_length_wants_to_be_resampled(every_2: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    argv = ["generate", "--policy", every_2, "--steps", "5", *RUN[2:], "--out", str(tmp_path / "out")]
    assert main(argv) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*argv, "--resample"]) == 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["generate"], "prompts or classes"),
        (["generate", "--class", "3", *RUN], "prompts or classes"),
        (["generate", *RUN, "--seed", "-1"], "seeds"),
        (["generate", "--prompt", ""], "prompts"),
        (["generate", *RUN, "--guidance", "nan"], "guidance_scale"),
        (["evaluate", "--prompts", "missing.txt"], "missing.txt"),
        (["evaluate", "--images", "0"], "0"),
        (["evaluate", "--prompts", "holdout", "--images", "100000"], "100000"),
    ],
)
def test_bad_requests_are_one_line(tiny_pixart: str, argv: list[str], says: str, capsys: pytest.CaptureFixture):
    assert main([*argv, "--model", tiny_pixart]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_said(tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "taken").write_text("")
    assert main(["generate", "--model", tiny_pixart, *RUN, "--out", str(tmp_path / "taken")]) == 1
    assert "taken" in capsys.readouterr().err


def test_evaluate_scores_a_set_of_prompts(every_2: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a large red ball on the left\n\na small blue ring at the top\n")
    argv = ["evaluate", "--policy", every_2, "--prompts", str(prompts), "--images", "2"]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["score"]["images"] == 2
    assert told["score"]["psnr"] > 5
    assert 0.6 < told["budget"] < 0.8
    assert main(argv) == 0
    assert "2 images at budget 0." in capsys.readouterr().out


def test_classes_need_no_words(tiny_dit: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert (
        main(["generate", "--model", tiny_dit, "--class", "3", "--steps", "2", "--out", str(tmp_path), "--json"]) == 0
    )
    assert len(json.loads(capsys.readouterr().out)["files"]) == 1


@pytest.mark.parametrize("content", ["{}", "[1]", '["a', "[" * 100_000, "\ud800"])
def test_a_broken_set_of_prompts_is_said(content: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    path = tmp_path / "prompts.json"
    path.write_bytes(content.encode(errors="surrogatepass"))
    assert main(["search", "--prompts", str(path), "--images", "1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_generate_paints_on_a_picture(tiny_pixart: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    given, mask = tmp_path / "given.png", tmp_path / "mask.png"
    Image.new("RGB", (64, 64), (200, 30, 30)).save(given)
    part = Image.new("L", (64, 64), 0)
    part.paste(255, (0, 0, 32, 64))
    part.save(mask)
    argv = ["generate", "--model", tiny_pixart, *RUN, "--image", str(given), "--out", str(tmp_path / "out"), "--json"]
    assert main([*argv, "--mask", str(mask)]) == 0
    [file] = json.loads(capsys.readouterr().out)["files"]
    with Image.open(file) as image:
        assert image.getpixel((50, 20)) == (200, 30, 30)
        assert image.getpixel((10, 20)) != (200, 30, 30)
    assert main(argv) == 1
    assert "both, --image and --mask" in capsys.readouterr().err
    (tmp_path / "no.png").write_text("no picture")
    assert main([*argv, "--mask", str(tmp_path / "no.png")]) == 1
    assert "is no picture" in capsys.readouterr().err
