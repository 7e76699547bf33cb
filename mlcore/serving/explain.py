"""Where in the image the network sees a tumour.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) weighs the last feature maps by the mean gradient of the evidence.
Every network here ends in a head that is linear in its maps, so that gradient is a constant, the head's own weights:
the map is a weighted sum, and needs no second pass.
"""

from __future__ import annotations

import numpy as np

from mlcore.data.labels import NO_TUMOUR


def evidence_weights(kernel: np.ndarray, maps_shape: tuple[int, int, int], leaves: tuple[str, ...]) -> np.ndarray:
    """Give the Grad-CAM weights of each leaf's evidence against `no_tumour`.

    Parameters
    ----------
    kernel : numpy.ndarray, shape (features, leaves)
        Of the head; its features are either the c pooled maps or the h * w * c flattened ones.
    maps_shape : (int, int, int)
        (h, w, c) of the last feature maps.
    leaves : tuple of str
        In the order of the head's outputs.

    Returns
    -------
    numpy.ndarray, shape (leaves, c), dtype float32
        Mean gradient of logit(leaf) - logit(no_tumour) by map.

    Raises
    ------
    ValueError
        Where the head belongs to other maps.
    """
    height, width, channels = maps_shape
    if kernel.shape[0] == channels:
        # Pooling hands every place the same gradient, kernel / (h * w).
        gradients = kernel / (height * width)
    elif kernel.shape[0] == height * width * channels:
        gradients = kernel.reshape(height * width, channels, -1).mean(axis=0)
    else:
        raise ValueError(f"A head of {kernel.shape[0]} features is not linear in maps of {maps_shape}.")
    against = gradients - gradients[:, [leaves.index(NO_TUMOUR)]]
    return np.ascontiguousarray(against.T, dtype=np.float32)


def tumour_map(
    maps: np.ndarray, weights: np.ndarray, probabilities: np.ndarray, leaves: tuple[str, ...]
) -> np.ndarray:
    """Give where one image speaks for a tumour.

    Parameters
    ----------
    maps : numpy.ndarray, shape (h, w, c), dtype float32
        Last feature maps.
    weights : numpy.ndarray, shape (leaves, c)
        Of `evidence_weights`.
    probabilities : numpy.ndarray, shape (leaves,)
        Of the image.
    leaves : tuple of str
        Their order.

    Returns
    -------
    numpy.ndarray, shape (h, w), dtype float32
        0 to the probability of a tumour: for the likeliest tumour leaf, and faint where none is believed in. A map
        that is stretched to full strength whatever the opinion would show a tumour in every healthy head.
    """
    tumour = [i for i, leaf in enumerate(leaves) if leaf != NO_TUMOUR]
    likeliest = tumour[int(np.argmax(probabilities[tumour]))]
    heat = np.maximum(maps @ weights[likeliest], 0.0)
    top = float(heat.max())
    if top <= 0.0:
        return np.zeros(heat.shape, np.float32)
    return np.asarray(heat / top * float(probabilities[tumour].sum()), np.float32)
