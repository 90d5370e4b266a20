"""How fast `Score` is beside an empty gRPC service and two peers, in one run on one machine.

`python -m benchmarks.serving` starts, each as one process:

- an empty gRPC service with the request and reply sizes of `Score`: grpc.aio with uvloop or the
  synchronous pool, whichever is faster in a short trial;
- our server with a real bundle, metrics on, no event log; one more with its sessions on Redis;
- MLServer with its LightGBM runtime over gRPC, and a bare BentoML HTTP service, both with the trees
  of our conversion model and ready-made features. Neither keeps sessions nor builds features.

Every kind of answer is checked before timing. Then all cases run in turn, round after round, and a
first round is thrown away. There are two kinds of calls:

- *Repeated*, from h2load, which sends one body only. `Score` is then a dry run of one more event of
  a visit of 20: it is decoded, folded into a copy of the session, scored and encoded; what a dry
  run leaves out is putting the session back.
- *New events*, from `distinct.py`: every call is kept, every reply checked to have counted its
  event. Redis is measured like this alone, since a dry run writes nothing.

Compare the CPU of both kinds in the table: that is the control of the first by the second. k6
then sends new events at half of the peak rate.
"""
