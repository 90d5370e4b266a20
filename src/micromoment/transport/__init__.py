"""gRPC: decodes a request, makes one call of the application, encodes the reply."""
