"""A gRPC server that does nothing but reply: what the transport alone costs.

    python -m benchmarks.echo_server REPLY_BYTES_IN_HEX

Same library, loop and options as the real one. Prints its port.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvloop

from micromoment.transport.server import OPTIONS

METHOD = "/benchmark.Echo/Reply"


async def serve(reply: bytes) -> None:
    """Serve until the process is ended."""

    async def answer(_request: bytes, _context: Any) -> bytes:  # noqa: ANN401 - grpc's own
        return reply

    service, method = METHOD.strip("/").split("/")
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(bytes.fromhex(sys.argv[1])))
