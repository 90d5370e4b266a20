"""Audience rules as programs of a stack machine, which compiled code runs in a microsecond.

CEL checks and defines a rule. What most rules are made of (numbers, comparisons, and, or, not,
equality with a word) can't fail and means the same in any order, so it is translated; a rule with
anything else is left to CEL itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.features._compile import compiled

_CONSTANT: Final = 0  # push a constant
_VALUE: Final = 1  # push a value of the point
_NOT: Final = 2
_AND: Final = 3
_OR: Final = 4
_EQUAL: Final = 5
_UNEQUAL: Final = 6
_LESS: Final = 7
_AT_MOST: Final = 8
_ADD: Final = 9
_SUBTRACT: Final = 10
_MULTIPLY: Final = 11
_DIVIDE: Final = 12
_NEGATE: Final = 13
_CHOOSE: Final = 14
_END: Final = 15  # the rule's answer is on the stack: it is bit `argument`

MAX_DEPTH: Final = 64

_OPERATIONS: Final = {
    ("!_", 1): _NOT,
    ("-_", 1): _NEGATE,
    ("_&&_", 2): _AND,
    ("_||_", 2): _OR,
    ("_==_", 2): _EQUAL,
    ("_!=_", 2): _UNEQUAL,
    ("_<_", 2): _LESS,
    ("_<=_", 2): _AT_MOST,
    ("_+_", 2): _ADD,
    ("_-_", 2): _SUBTRACT,
    ("_*_", 2): _MULTIPLY,
    ("_/_", 2): _DIVIDE,
    ("_?_:_", 3): _CHOOSE,
}
_TURNED: Final = {"_>_": "_<_", "_>=_": "_<=_"}
# What is no word is below none.
NO_WORD: Final = -1.0


class _Untranslatable(Exception):  # noqa: N818 - never leaves this module
    pass


@dataclass(frozen=True, slots=True)
class Words:
    """A value that is a word: its place, and the number that stands for each word."""

    place: int
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Program:
    """Translated rules: `steps`, shape (n, 2), of operation and argument, and their constants."""

    steps: npt.NDArray[np.int64]
    constants: npt.NDArray[np.float64]


class ProgramWriter:
    """Translates rules one by one; `program` is what has been translated so far.

    `places` tells where the numbers and truth values (0 or 1) of a point are that rules name,
    `words` the same of those that are words.
    """

    def __init__(self, places: Mapping[str, int], words: Mapping[str, Words]) -> None:
        self._places = places
        self._words = words
        self._steps: list[tuple[int, int]] = []
        self._constants: list[float] = []

    def add(self, rule: Any, bit: int) -> bool:
        """Translate a rule whose answer is this bit; False, and nothing added, if it can't be."""
        steps, constants = len(self._steps), len(self._constants)
        try:
            depth = self._write(rule)
            if depth > MAX_DEPTH:
                raise _Untranslatable
        except _Untranslatable:
            del self._steps[steps:], self._constants[constants:]
            return False
        self._steps.append((_END, bit))
        return True

    def program(self) -> Program:
        """Give the rules translated so far."""
        steps = np.array(self._steps, np.int64).reshape(len(self._steps), 2)
        return Program(steps, np.array(self._constants, np.float64))

    def _write(self, node: Any) -> int:
        """Append what leaves the node's value on the stack; gives how deep that gets."""
        kind = node.WhichOneof("kind")
        if kind == "const_expr":
            return self._push_constant(_number(node.const_expr))
        if kind == "ident_expr" and node.ident_expr.name in self._places:
            self._steps.append((_VALUE, self._places[node.ident_expr.name]))
            return 1
        if kind == "call_expr" and not node.call_expr.HasField("target"):
            return self._write_call(node.call_expr)
        raise _Untranslatable

    def _write_call(self, call: Any) -> int:
        function, arguments = call.function, list(call.args)
        if function in _TURNED:
            function, arguments = _TURNED[function], arguments[::-1]
        if function == "@in":
            return self._write_membership(*arguments)
        if function in ("_==_", "_!=_"):
            worded = [self._words_of(one) for one in arguments]
            if any(worded):
                return self._write_word(function, arguments, worded)
        operation = _OPERATIONS.get((function, len(arguments)))
        if operation is None:
            raise _Untranslatable
        depth = self._write_all(arguments)
        self._steps.append((operation, 0))
        return depth

    def _write_word(self, function: str, arguments: list[Any], worded: list[Words | None]) -> int:
        left, right = worded
        if left is not None and right is not None:
            # Two of them: their numbers mean different words.
            raise _Untranslatable
        known, word = (left, arguments[1]) if left is not None else (right, arguments[0])
        if known is None:
            raise _Untranslatable
        self._steps.append((_VALUE, known.place))
        self._push_constant(known.numbers.get(_text(word), NO_WORD))
        self._steps.append((_OPERATIONS[function, 2], 0))
        return 2

    def _write_membership(self, member: Any, among: Any) -> int:
        if among.WhichOneof("kind") != "list_expr":
            raise _Untranslatable
        words = self._words_of(member)
        self._push_constant(0.0)
        deepest = 1
        for element in among.list_expr.elements:
            if words is not None:
                depth = self._write_word("_==_", [member, element], [words, None])
            else:
                depth = self._write_all([member, element])
                self._steps.append((_EQUAL, 0))
            self._steps.append((_OR, 0))
            deepest = max(deepest, depth + 1)
        return deepest

    def _write_all(self, arguments: list[Any]) -> int:
        return max(place + self._write(one) for place, one in enumerate(arguments))

    def _words_of(self, node: Any) -> Words | None:
        if node.WhichOneof("kind") != "ident_expr":
            return None
        return self._words.get(node.ident_expr.name)

    def _push_constant(self, value: float) -> int:
        self._steps.append((_CONSTANT, len(self._constants)))
        self._constants.append(value)
        return 1


def _number(constant: Any) -> float:
    kind = constant.WhichOneof("kind")
    if kind == "bool_value":
        return float(constant.bool_value)
    if kind == "double_value":
        return float(constant.double_value)
    raise _Untranslatable


def _text(node: Any) -> str:
    if node.WhichOneof("kind") == "const_expr":
        constant = node.const_expr
        if constant.WhichOneof("kind") == "string_value":
            return str(constant.string_value)
    raise _Untranslatable


@compiled
def run_program(steps: Any, constants: Any, values: Any, stack: Any) -> int:
    """Give the bits of the rules that hold for `values`; `stack` has room for `MAX_DEPTH`."""
    bits = 0
    top = -1
    for index in range(len(steps)):
        operation = steps[index, 0]
        argument = steps[index, 1]
        if operation == _CONSTANT:
            top += 1
            stack[top] = constants[argument]
        elif operation == _VALUE:
            top += 1
            stack[top] = values[argument]
        elif operation == _NOT:
            stack[top] = 1.0 - stack[top]
        elif operation == _NEGATE:
            stack[top] = -stack[top]
        elif operation == _END:
            if stack[top] != 0.0:
                bits |= 1 << argument
            top -= 1
        elif operation == _CHOOSE:
            top -= 2
            stack[top] = stack[top + 1] if stack[top] != 0.0 else stack[top + 2]
        else:
            top -= 1
            stack[top] = _of_two(operation, stack[top], stack[top + 1])
    return bits


@compiled
def _of_two(operation: int, left: float, right: float) -> float:
    if operation == _AND:
        answer = left * right
    elif operation == _OR:
        answer = max(left, right)
    elif operation == _EQUAL:
        answer = 1.0 if left == right else 0.0
    elif operation == _UNEQUAL:
        answer = 1.0 if left != right else 0.0
    elif operation == _LESS:
        answer = 1.0 if left < right else 0.0
    elif operation == _AT_MOST:
        answer = 1.0 if left <= right else 0.0
    elif operation == _ADD:
        answer = left + right
    elif operation == _SUBTRACT:
        answer = left - right
    elif operation == _MULTIPLY:
        answer = left * right
    else:
        answer = left / right
    return answer
