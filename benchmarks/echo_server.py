"""A gRPC server that does nothing but reply: what the transport alone costs.

    python -m benchmarks.echo_server REPLY_BYTES_IN_HEX [aio|pool] [PORT]

`aio` has the library, loop and options of the real one; `pool` is gRPC's synchronous server with
four threads. It answers every method alike, also those of our services. Prints its port.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import uvloop

from micromoment.transport.server import OPTIONS

METHOD: Final = "/benchmark.Echo/Reply"
_THREADS: Final = 4


class EveryMethod(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in its stubs alone
    """Answers any unary method with one function."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self._handler = grpc.unary_unary_rpc_method_handler(answer)

    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """Give the one handler, whatever was called."""
        return self._handler


async def serve(reply: bytes, port: int = 0) -> None:
    """Serve on grpc.aio until the process is ended."""

    async def answer(_request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - grpc's own
        return reply

    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((EveryMethod(answer),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(bound, flush=True)
    await server.wait_for_termination()


def serve_from_pool(reply: bytes, port: int = 0) -> None:
    """Serve on the synchronous server until the process is ended."""

    def answer(_request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - grpc's own
        return reply

    server = grpc.server(ThreadPoolExecutor(_THREADS), options=OPTIONS)
    server.add_generic_rpc_handlers((EveryMethod(answer),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print(bound, flush=True)
    server.wait_for_termination()


def main(arguments: list[str]) -> None:
    """Serve as the command line says."""
    reply, kind, port = [*arguments, *("", "aio", "0")[len(arguments) :]]
    if kind == "pool":
        serve_from_pool(bytes.fromhex(reply), int(port))
    else:
        uvloop.run(serve(bytes.fromhex(reply), int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
