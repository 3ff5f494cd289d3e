"""The natural logarithm of a whole array, the same bits wherever an element stands in it.

A compiler's vectorised logarithm may round differently in the last few elements of an array, and
then a longer history would change an old value; the scalar one of the C library is right, and
takes five times as long. This one is made of additions, multiplications and divisions only, which
round the same in vector and scalar instructions, on every machine.

Source: Sun Microsystems, fdlibm `e_log.c`; the error is below one unit in the last place.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
L1, L2, L3 = 6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01
L4, L5, L6 = 2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01
L7 = 1.479819860511658591e-01
SMALLEST, LARGEST = 2.2250738585072014e-308, 1.7976931348623157e308  # normal numbers
FRACTION = np.int64((1 << 52) - 1)
ROOT = np.int64(0x3FE6A09E << 32)  # the bits of √½
SHIFT = np.int64(0x3FF00000 << 32) - ROOT
MAGIC = np.int64(0x4338000000000000)  # the bits of 1.5 × 2^52, where one unit is 1


@njit(cache=True, nogil=True, error_model="numpy")
def log_in_place(x: Array) -> None:
    """Replace every element by its natural logarithm: -inf at 0, NaN below; contiguous."""
    bits = x.view(np.int64)
    mantissa, power = np.empty(x.size, np.int64), np.empty(x.size, np.int64)
    for i in range(x.size):  # x = m 2^k with m in [√½, √2)
        shifted = bits[i] + SHIFT
        power[i] = (shifted >> 52) - 1023 + MAGIC
        mantissa[i] = (shifted & FRACTION) + ROOT
    m, exponents, unit = mantissa.view(np.float64), power.view(np.float64), 6755399441055744.0
    for i in range(x.size):
        f, k = m[i] - 1.0, exponents[i] - unit
        half = 0.5 * f * f
        s = f / (2.0 + f)
        z = s * s
        w = z * z
        odd = z * (L1 + w * (L3 + w * (L5 + w * L7)))
        rest = odd + w * (L2 + w * (L4 + w * L6))
        value = s * (half + rest) + k * LN2_LOW - half + f + k * LN2_HIGH
        power[i] = np.int64(SMALLEST <= x[i] <= LARGEST)
        m[i] = value
    for i in range(x.size):
        x[i] = m[i] if power[i] else np.log(x[i])
