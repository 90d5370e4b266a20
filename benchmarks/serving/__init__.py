"""How fast `Score` is beside an empty gRPC service and two peers, in one run on one machine.

`python -m benchmarks.serving` starts, each as one process:

- an empty gRPC service with the request and reply sizes of `Score`: grpc.aio with uvloop or the
  synchronous pool, whichever is faster in a short trial;
- our server with a real bundle, metrics on, no event log; one more with its sessions on Redis;
- MLServer with its LightGBM runtime over gRPC, and a bare BentoML HTTP service, both with the trees
  of our conversion model and ready-made features. Neither keeps sessions nor builds features.

Every kind of answer is checked before timing. Then all cases run in turn, round after round, and a
first round is thrown away. There are two kinds of calls:

- *Dry runs*, from h2load, which can send one body only; an event sent twice would be a duplicate
  and so cheaper. A dry run of one more event of a visit of 20 is decoded, folded into a copy of the
  session, scored and encoded. It leaves out putting the session back and counting the event.
- *New events*, from `distinct.py`, a client that sends another body with every call: visits of 20
  events, begun beforehand, go on by up to 10, one a call. Every event is kept, every reply checked
  to have counted it. Redis is measured like this alone, since a dry run writes nothing there.

Each kind has its own empty calls from the same client. The control is the server's processor time
for a call of either kind. At half of the peak rate new events are sent by `distinct.py`, and again
by k6; k6 takes more processor time for a call than the empty service does, so that where it shares
two cores with the server its p99 tells more of itself.

Visitors are customers known to the feature workspace, where there are any, so that both models
speak. Processor time and memory are those of the service's processes, without Redis's own.
"""
