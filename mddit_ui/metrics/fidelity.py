"""How close pictures are to reference pictures."""

from functools import lru_cache

import numpy as np

from mddit_ui.metrics.base import check_images, check_pair

WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03
PEAK = 255.0


def psnr(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, (n,); infinite for equal images."""
    check_pair(check_images(images), check_images(reference))
    error = ((images.astype(np.float64) - reference) ** 2).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / error)


def ssim(images: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Structural similarity, Wang, Bovik, Sheikh and Simoncelli 2004 (doi 10.1109/TIP.2003.819861), (n,) in [-1, 1].

    Gaussian window of 11 x 11, sigma 1.5, population statistics, K1 = 0.01, K2 = 0.03; the mean over all window
    positions inside the image and over the three colours.
    """
    check_pair(check_images(images), check_images(reference))
    x, y = images.astype(np.float64), reference.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean((1, 2, 3))


def latent_error(latents: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Squared error of latents / mean square of the reference, (n,); 0 for equal ones."""
    check_pair(latents, reference)
    axes = tuple(range(1, latents.ndim))
    error = ((latents.astype(np.float64) - reference) ** 2).mean(axes)
    return error / np.maximum((reference.astype(np.float64) ** 2).mean(axes), 1e-12)


def _blur(images: np.ndarray) -> np.ndarray:
    """(n, h, w, c) -> (n, h - 10, w - 10, c): the Gaussian mean at each position of the window."""
    n, height, width, colours = images.shape
    rows = (_band(height) @ images.reshape(n, height, width * colours)).reshape(n, -1, width, colours)
    return _band(width) @ rows


@lru_cache(maxsize=8)
def _band(size: int) -> np.ndarray:
    """(size - 10, size) the weights of the window at each of its positions, a row each."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    places = np.arange(size - WINDOW + 1)[:, None]
    band = np.zeros((size - WINDOW + 1, size))
    band[places, places + np.arange(WINDOW)] = weights / weights.sum()
    return band
