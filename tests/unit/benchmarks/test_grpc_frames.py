"""HTTP/2 frames and gRPC messages as bytes."""

from __future__ import annotations

import pytest

from benchmarks.serving import grpc_frames as h2


def test_a_frame_is_read_as_it_was_written() -> None:
    """Frames come out whole and in order; what is incomplete waits for its rest."""
    sent = h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"head") + h2.frame(h2.DATA, 0, 3, b"body")
    received = bytearray(sent[:-1])
    assert list(h2.frames_of(received)) == [h2.Frame(h2.HEADERS, h2.END_HEADERS, 1, b"head")]
    assert list(h2.frames_of(received)) == []
    received += sent[-1:]
    assert list(h2.frames_of(received)) == [h2.Frame(h2.DATA, 0, 3, b"body")]
    assert received == b""


def test_a_message_has_five_bytes_before_it() -> None:
    """They say that it isn't compressed, and its length."""
    assert h2.prefixed(b"abc") == b"\0\0\0\0\3abc"
    assert h2.message_of(h2.prefixed(b"abc")) == b"abc"
    assert h2.message_of(h2.prefixed(b"")) == b""


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0", b"\1\0\0\0\1a", b"\0\0\0\0\2a"])
def test_anything_else_is_no_message(body: bytes) -> None:
    """A call that failed has no body; compressed and cut ones aren't read."""
    with pytest.raises(ValueError, match="the reply"):
        h2.message_of(body)


def test_headers_are_plain_literals() -> None:
    """No header changes the state of the connection, so that a block can be sent again."""
    block = h2.header_block("/a.B/C", "h:1")
    assert block.count(b"\x05:path\x06/a.B/C") == 1
    assert block.startswith(b"\x00\x07:method\x04POST")
    with pytest.raises(ValueError, match="too long"):
        h2.header_block("/" + "a" * 200, "h:1")
