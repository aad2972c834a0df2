"""Vectors of a few lanes inside numba kernels: the factors of one pixel or channel, held in a register.

numba leaves loops over eight components scalar, which costs a factor of four. These words put LLVM's vector instructions into
a kernel: ``take(array, i, like)`` reads row i as lanes, ``put`` writes it back, ``blend(s, a, b)`` is s·a + b, ``dot`` and
``times`` are what they say. `like` is a tuple of as many numbers as there are lanes, for its length only: a power of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

if TYPE_CHECKING:
    from collections.abc import Callable

FAST = ("fast",)  # sums may be taken in any order
INT32 = ir.IntType(32)
SQRT_HALF = 0x3F3504F3  # bits of √½ as float32
FRACTION = 0x007FFFFF  # bits of a float32's fraction
LN_2 = 0.6931471805599453


def word(function: Callable[..., Any]) -> Any:
    """`function` as an intrinsic, which type checkers need not see through."""
    return intrinsic(function)


class Lanes(types.Type):
    """Type of `n` floats of `bits` bits each."""

    def __init__(self, bits: int, n: int) -> None:
        self.bits, self.n = bits, n
        super().__init__(name=f"Lanes(float{bits} x {n})")

    @property
    def one(self) -> types.Float:
        """Type of a single lane."""
        return types.float32 if self.bits == 32 else types.float64


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        lane = ir.FloatType() if kind.bits == 32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(lane, kind.n))  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, kinds: Any, args: Any, vector: Any) -> Any:
    """Pointer to row args[1] of the array args[0], as a vector."""
    array = context.make_array(kinds[0])(context, builder, args[0])
    stride = builder.extract_value(array.strides, 0)
    row = context.cast(builder, args[1], kinds[1], types.intp)
    address = builder.add(builder.ptrtoint(array.data, stride.type), builder.mul(row, stride))
    return builder.inttoptr(address, vector.as_pointer())


@word
def take(_typing: Any, array: Any, row: Any, like: Any) -> Any:
    """Row of a C-contiguous (n, lanes) array."""
    result = Lanes(array.dtype.bitwidth, len(like))

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(result)
        return builder.load(_place(context, builder, signature.args, args, vector), align=array.dtype.bitwidth // 8)

    return result(array, row, like), build


@word
def put(_typing: Any, array: Any, row: Any, lanes: Any) -> Any:
    """Write lanes to a row of a C-contiguous (n, lanes) array."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _place(context, builder, signature.args, args, context.get_value_type(lanes))
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, row, lanes), build


@word
def naught(_typing: Any, lanes: Any) -> Any:
    """Zeros, as many as `lanes` has."""

    def build(context: Any, _builder: Any, signature: Any, _args: Any) -> Any:
        return ir.Constant(context.get_value_type(signature.return_type), None)

    return lanes(lanes), build


@word
def blend(_typing: Any, scale: Any, a: Any, b: Any) -> Any:
    """scale · a + b."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(b)
        number = context.cast(builder, args[0], signature.args[0], b.one)
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, number, ir.Constant(INT32, 0))
        spread = builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, b.n), [0] * b.n))
        return builder.fadd(builder.fmul(spread, args[1], flags=FAST), args[2], flags=FAST)

    return b(scale, a, b), build


@word
def times(_typing: Any, a: Any, b: Any) -> Any:
    """a · b, lane by lane."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fmul(args[0], args[1], flags=FAST)

    return a(a, b), build


@word
def dot(_typing: Any, a: Any, b: Any) -> Any:
    """Σ a · b over the lanes."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        product, n = builder.fmul(args[0], args[1], flags=FAST), a.n
        while n > 1:
            n //= 2
            low, high = (ir.Constant(ir.VectorType(INT32, n), list(range(first, first + n))) for first in (0, n))
            product = builder.fadd(
                builder.shuffle_vector(product, product, low), builder.shuffle_vector(product, product, high), flags=FAST
            )
        return builder.extract_element(product, ir.Constant(INT32, 0))

    return a.one(a, b), build


@word
def logarithm(_typing: Any, x: Any) -> Any:
    """Natural logarithm of float32 lanes, all positive and finite, to 1e-7 of one.

    x = 2^n f with f from √½ to √2, and ln f = 2 artanh q with q = (f − 1)/(f + 1), as a series cut at 1e-8.
    """

    def build(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        floats = context.get_value_type(x)
        whole = ir.VectorType(INT32, x.n)

        def all_of(kind: Any, number: float) -> Any:
            return ir.Constant(kind, [number] * x.n)

        def plus(a: Any, b: Any) -> Any:
            return builder.fadd(a, b, flags=FAST)

        def product(a: Any, b: Any) -> Any:
            return builder.fmul(a, b, flags=FAST)

        root = all_of(whole, SQRT_HALF)
        above = builder.sub(builder.bitcast(args[0], whole), root)
        exponent = builder.sitofp(builder.ashr(above, all_of(whole, 23)), floats)
        bits = builder.add(builder.and_(above, all_of(whole, FRACTION)), root)
        f = builder.bitcast(bits, floats)
        one = all_of(floats, 1.0)
        q = builder.fdiv(builder.fsub(f, one, flags=FAST), plus(f, one), flags=FAST)
        square = product(q, q)
        series = all_of(floats, 2 / 9)
        for term in (2 / 7, 2 / 5, 2 / 3, 2.0):
            series = plus(product(series, square), all_of(floats, term))
        return plus(product(exponent, all_of(floats, LN_2)), product(q, series))

    return x(x), build
