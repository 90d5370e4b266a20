"""A peer of streams that sends HTTP/2 frames as bytes, and reads nothing if so told."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.serving.grpc_frames import (
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    header_block,
    prefixed,
)
from micromoment.client import event, score_request
from micromoment.v1 import scoring_pb2 as pb

_METHOD = "/micromoment.v1.ScoringService/StreamScores"
_INITIAL_WINDOW_SIZE = 0x4
_SESSIONS = 50
_PAUSE_S = 0.002


@contextmanager
def silent_streams(port: int, streams: int, requests: int) -> Iterator[None]:
    """Hold streams open on one connection, with some requests on each, and take no answer.

    The connection's streams have no window, so that the server can send no answer at all.
    """
    with socket.create_connection(("127.0.0.1", port)) as connection:
        window = struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0)
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0, window))
        headers = header_block(_METHOD, "silent")
        for number in range(streams):
            stream = 2 * number + 1
            sent = [frame(HEADERS, END_HEADERS, stream, headers)]
            sent += [
                frame(DATA, 0, stream, prefixed(_request(number, place)))
                for place in range(requests)
            ]
            connection.sendall(b"".join(sent))
            # Streams that all begin at once would be more calls than may wait.
            time.sleep(_PAUSE_S)
        yield


def _request(stream: int, place: int) -> bytes:
    request = score_request(
        f"s{(stream + place) % _SESSIONS}", [event("page_view", page="/")], anonymous_id="b1"
    )
    return pb.StreamScoresRequest(request_id=str(place), request=request).SerializeToString()
