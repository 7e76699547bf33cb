import shutil
from pathlib import Path

import mlcore
from mlcore.model.revision import code_revision

MLCORE = Path(mlcore.__file__).parent


def test_a_change_anywhere_is_another_revision(tmp_path):
    copy = tmp_path / "mlcore"
    shutil.copytree(MLCORE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_revision(copy) == code_revision()
    seen = {code_revision(copy)}
    for name in ("__main__.py", "training/loop.py", "images/dicom/pixels.py"):
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write("# changed\n")
        seen.add(code_revision(copy))
    (copy / "images" / "jpeg.py").rename(copy / "data" / "jpeg.py")
    seen.add(code_revision(copy))
    assert len(seen) == 5
