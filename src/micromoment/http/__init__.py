"""The HTTP front door: the same calls as over gRPC, as JSON, for teams that don't speak gRPC.

A BentoML service around the same application: `service` alone imports bentoml, and nothing that the
gRPC server imports reaches into this package.
"""
