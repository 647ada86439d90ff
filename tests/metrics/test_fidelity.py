"""PSNR, SSIM and latent error against values worked out by hand."""

import numpy as np
import pytest

from mddit_ui.core.errors import ConfigError
from mddit_ui.metrics.fidelity import latent_error, psnr, ssim


def flat(value: int, n: int = 1) -> np.ndarray:
    return np.full((n, 16, 16, 3), value, np.uint8)


def noise(seed: int, n: int = 2, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), np.uint8)


def test_psnr_by_hand():
    assert psnr(flat(10), flat(20)) == pytest.approx(10 * np.log10(255**2 / 100))
    assert psnr(flat(0), flat(255)) == 0
    assert np.isinf(psnr(flat(7), flat(7)))
    half = flat(10).copy()
    half[:, :8] += 4
    assert psnr(half, flat(10)) == pytest.approx(10 * np.log10(255**2 / 8))


def test_ssim_of_flat_images_by_hand():
    """Without variance only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2."""
    c1 = 2.55**2
    assert ssim(flat(100), flat(150)) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_ssim_of_one_window_by_hand():
    """An 11 x 11 image has one window; its Gaussian statistics, written out."""
    x, y = noise(0, 1, 11), noise(1, 1, 11)
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for colour in range(3):
        a, b = x[0, :, :, colour].astype(float), y[0, :, :, colour].astype(float)
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
        c1, c2 = 6.5025, 58.5225
        values.append(
            (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
            / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )  # fmt: skip
    assert ssim(x, y) == pytest.approx(np.mean(values))


def test_ssim_is_one_for_equal_symmetric_and_falls_with_noise():
    x, y = noise(0), noise(1)
    assert ssim(x, x) == pytest.approx([1, 1])
    assert ssim(x, y) == pytest.approx(ssim(y, x))
    little = np.clip(x.astype(int) + np.random.default_rng(2).integers(-8, 9, x.shape), 0, 255).astype(np.uint8)
    assert (ssim(x, little) > 0.98).all()
    assert (ssim(x, y) < 0.2).all()


def test_one_number_an_image():
    x, y = noise(0), noise(1)
    y[0] = x[0]
    assert ssim(x, y).shape == psnr(x, y).shape == (2,)
    assert np.isinf(psnr(x, y)[0])
    assert np.isfinite(psnr(x, y)[1])


def test_latent_error_by_hand():
    reference = np.full((2, 4, 8, 8), 2.0, np.float32)
    latents = reference.copy()
    latents[1] += 1
    assert latent_error(latents, reference).tolist() == [0, 0.25]


def test_what_can_not_be_compared():
    with pytest.raises(ConfigError, match=r"got \(1, 16, 16, 3\) and \(2, 16, 16, 3\)"):
        psnr(flat(0), flat(0, 2))
    with pytest.raises(ConfigError, match="uint8; got"):
        ssim(flat(0) / 255, flat(0))
    with pytest.raises(ConfigError, match="one shape"):
        latent_error(np.zeros((1, 4, 8, 8)), np.zeros((1, 4, 8, 4)))
