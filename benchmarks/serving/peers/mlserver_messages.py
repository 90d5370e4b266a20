"""Writes and reads MLServer's messages, in MLServer's environment.

    python mlserver_messages.py request < features.json > request.bin
    python mlserver_messages.py reply < reply.bin > prediction.json

`features.json` is a list of floats, `prediction.json` the one prediction.
"""

import json
import sys

from mlserver.grpc import dataplane_pb2 as pb  # type: ignore[import-not-found] # there alone

MODEL = "conversion"


def request(features: list[float]) -> bytes:
    """Write a ModelInferRequest of one row of 32-bit floats."""
    message = pb.ModelInferRequest(model_name=MODEL)
    tensor = message.inputs.add(name="features", datatype="FP32", shape=[1, len(features)])
    tensor.contents.fp32_contents.extend(features)
    return bytes(message.SerializeToString())


def prediction(reply: bytes) -> float:
    """Read the one prediction out of a ModelInferResponse."""
    (output,) = pb.ModelInferResponse.FromString(reply).outputs
    contents = output.contents
    (value,) = contents.fp64_contents or contents.fp32_contents
    return float(value)


if __name__ == "__main__":
    given = sys.stdin.buffer.read()
    if sys.argv[1] == "request":
        sys.stdout.buffer.write(request(json.loads(given)))
    else:
        print(json.dumps(prediction(given)))
