"""What a GPU makes of float32: whole products, or TF32, which keeps 10 bits of the mantissa. On a
CPU nothing changes.
"""

from contextlib import contextmanager

import torch


@contextmanager
def float32_products(precision):
    """Within, convolutions and matrix products are "ieee" or "tf32"; torch's own default is TF32
    for convolutions alone.
    """
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = precision
        yield
    finally:
        for setting, earlier in zip(settings, before):
            setting.fp32_precision = earlier
