"""What an interpreter reads when it starts with this folder on PYTHONPATH: predictors that one scan brings down.

``OVERREAD_TEST_POISON`` is ``<sha256 of the poison's bytes>:<crash | hang | memory>``.
"""

import builtins
import hashlib
import os
import sys
import time

_import = builtins.__import__
_done = False


def _poisoned(name, *rest, **more):
    global _done
    module = _import(name, *rest, **more)
    predict = sys.modules.get("mlcore.serving.predict")
    if not _done and predict is not None and hasattr(predict, "Predictor"):
        _done = True
        whole = predict.Predictor.predict

        def one_is_poison(self, files):
            poison, harm = os.environ["OVERREAD_TEST_POISON"].split(":")
            if any(hashlib.sha256(data).hexdigest() == poison for data in files):
                if harm == "crash":
                    os.abort()
                if harm == "memory":
                    raise MemoryError
                time.sleep(10_000)
            return whole(self, files)

        predict.Predictor.predict = one_is_poison
    return module


builtins.__import__ = _poisoned
