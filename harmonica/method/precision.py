"""How a GPU multiplies float32: in full precision, or in TF32, which keeps 10 bits of the mantissa.
On a CPU this changes nothing.
"""

from contextlib import contextmanager

import torch


@contextmanager
def float32_products(precision):
    """A context in which convolutions and matrix products use this precision, "ieee" or "tf32".
    torch's own default is TF32 for convolutions only.
    """
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    precisions = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = precision
        yield
    finally:
        for setting, earlier in zip(settings, precisions):
            setting.fp32_precision = earlier
