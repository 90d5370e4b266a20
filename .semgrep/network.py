import ssl

import grpc
import httpx

# ruleid: no-unverified-tls
httpx.get(address, verify=False)
# ruleid: no-unverified-tls
context.verify_mode = ssl.CERT_NONE
# ruleid: no-unverified-tls
context.check_hostname = False
# ok: no-unverified-tls
httpx.get(address, verify=context)

# ruleid: no-plaintext-beyond-loopback
channel = grpc.insecure_channel("scores.example.org:50051")
# ruleid: no-plaintext-beyond-loopback
channel = grpc.aio.insecure_channel(address, options=OPTIONS)
# ruleid: no-plaintext-beyond-loopback
server.add_insecure_port(f"{host}:{port}")
# ruleid: no-plaintext-beyond-loopback
channel = grpc.insecure_channel("127.0.0.1.example.org:50051")
# ok: no-plaintext-beyond-loopback
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
# ok: no-plaintext-beyond-loopback
server.add_insecure_port(f"{LOOPBACK}:{port}")
# ok: no-plaintext-beyond-loopback
channel = grpc.secure_channel(address, credentials)

# ruleid: no-binding-to-every-address
host = "0.0.0.0"
# ok: no-binding-to-every-address
host = "127.0.0.1"
