"""Names for grpc's types, which are generic in their annotations only, and one of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    RpcHandlers = grpc.GenericRpcHandler[Any, Any]
else:
    Context = grpc.aio.ServicerContext
    Handler = grpc.RpcMethodHandler
    RpcHandlers = grpc.GenericRpcHandler


class Undecodable:
    """Stands for a request whose bytes are no message."""


Call = Callable[[Any, Context], Any]  # a message, or an awaitable of one
Stream = Callable[[Any, Context], AsyncIterator[Any]]
