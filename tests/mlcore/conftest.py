"""One toy model for the whole run: sixteen pixels wide, trained in seconds."""

from pathlib import Path

import pytest

from mlcore.data.dataset import Item
from mlcore.model.config import TrainConfig
from mlcore.training.train import Trained, train
from tests.mlcore.phantom import items

TOY = TrainConfig(architecture="seed_cnn", size=16, epochs=4, batch_size=16, augment="none", threads=2)


@pytest.fixture(scope="session")
def toy_items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return items(tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def toy(toy_items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out: Path = tmp_path_factory.mktemp("models") / "toy"
    return train(toy_items, TOY, out)
