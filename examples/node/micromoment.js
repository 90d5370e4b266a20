// A client of micromoment for Node.js: deadlines, repeats by the published service config, TLS,
// a token from the environment, and errors with their details.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

// In a shop of your own: copy the folder protos of the release beside this file.
const PROTOS = [
  fileURLToPath(new URL("../../protos", import.meta.url)),
  fileURLToPath(new URL("./protos", import.meta.url)),
].filter(existsSync);
const SERVICE_CONFIG = PROTOS.map(
  (folder) => `${folder}/micromoment/v1/micromoment_grpc_service_config.json`,
).find(existsSync);
const DETAILS_KEY = "grpc-status-details-bin";

export const definition = protoLoader.loadSync(
  ["micromoment/v1/scoring.proto", "micromoment/v1/events.proto", "google/rpc/error_details.proto"],
  // 64-bit integers as strings: a number of JavaScript would round them.
  { includeDirs: PROTOS, longs: String, enums: String, oneofs: true, arrays: true },
);
const { micromoment } = grpc.loadPackageDefinition(definition);

// Reads the settings of a connection from the environment.
//
// MICROMOMENT_ADDRESS is where to call, 127.0.0.1:50051 by default. MICROMOMENT_CA names the file
// of the authority that signed the server's certificate and turns TLS on; MICROMOMENT_CLIENT_CERT
// and MICROMOMENT_CLIENT_KEY name the client's own, where the server asks for one.
// MICROMOMENT_TOKEN, or what the file MICROMOMENT_TOKEN_FILE holds, is sent with every call; it
// needs TLS. A file that can't be read is a SettingsError.
export function settingsFrom(environment = process.env) {
  const file = (name) => {
    try {
      return environment[name] ? readFileSync(environment[name]) : null;
    } catch (error) {
      throw new SettingsError(`${name}: ${environment[name]} can't be read: ${error.code}`);
    }
  };
  return {
    address: environment.MICROMOMENT_ADDRESS || "127.0.0.1:50051",
    ca: file("MICROMOMENT_CA"),
    certificate: file("MICROMOMENT_CLIENT_CERT"),
    key: file("MICROMOMENT_CLIENT_KEY"),
    token: (environment.MICROMOMENT_TOKEN || file("MICROMOMENT_TOKEN_FILE") || "").toString().trim(),
  };
}

// A connection that can't be made as it is set.
export class SettingsError extends Error {}

// An answer that isn't OK: `status` is the code's name, `reason` is stable, `fields` names what a
// request has wrong, `retryMs` says how long to stay away (0: nothing is said).
export class CallError extends Error {
  constructor(error) {
    super(error.details || error.message);
    this.name = "CallError";
    this.status = grpc.status[error.code];
    this.details = detailsOf(error.metadata?.get(DETAILS_KEY)[0]);
    this.reason = this.details.find((detail) => detail.reason)?.reason ?? "";
    this.fields = this.details.flatMap((detail) => detail.fieldViolations ?? []);
    const delay = this.details.find((detail) => detail.retryDelay)?.retryDelay;
    this.retryMs = Number(delay?.seconds ?? 0) * 1000 + (delay?.nanos ?? 0) / 1e6;
  }
}

// One connection, to be shared by all of a process. A call has `deadlineMs` milliseconds.
export class Client {
  constructor({ address, ca, certificate, key, token } = settingsFrom(), deadlineMs = 1000) {
    const options = {
      "grpc.service_config": readFileSync(SERVICE_CONFIG, "utf-8"),
      "grpc.max_receive_message_length": 16 * 1024 * 1024,
    };
    const credentials = credentialsOf({ ca, certificate, key, token });
    this.deadlineMs = deadlineMs;
    this.scoring = new micromoment.v1.ScoringService(address, credentials, options);
    // The second service uses the connection of the first.
    this.events = new micromoment.v1.EventService(address, credentials, {
      ...options,
      channelOverride: this.scoring.getChannel(),
    });
  }

  score(request) {
    return this.#call(this.scoring, "Score", request);
  }

  batchScore(request) {
    return this.#call(this.scoring, "BatchScore", request);
  }

  getSession(request) {
    return this.#call(this.scoring, "GetSession", request);
  }

  ingest(request) {
    return this.#call(this.events, "Ingest", request);
  }

  // Sends requests on one stream and gives the answers as they come; `requestId` tells which is
  // whose.
  async *streamScores(requests) {
    const stream = this.scoring.StreamScores({ deadline: this.#deadline() });
    for (const request of requests) {
      stream.write(request);
    }
    stream.end();
    try {
      yield* stream;
    } catch (error) {
      throw new CallError(error);
    }
  }

  close() {
    this.scoring.close();
  }

  #call(service, method, request) {
    return new Promise((resolve, reject) => {
      service[method](request, { deadline: this.#deadline() }, (error, reply) =>
        error ? reject(new CallError(error)) : resolve(reply),
      );
    });
  }

  #deadline() {
    return Date.now() + this.deadlineMs;
  }
}

// Makes a time of the contract from milliseconds since 1970.
export function timestamp(ms = Date.now()) {
  return { seconds: Math.floor(ms / 1000), nanos: Math.floor(ms % 1000) * 1e6 };
}

function credentialsOf({ ca, certificate, key, token }) {
  if (!ca) {
    if (token) {
      throw new SettingsError(
        "MICROMOMENT_TOKEN needs MICROMOMENT_CA: a token is not sent in the clear",
      );
    }
    return grpc.credentials.createInsecure();
  }
  const channel = grpc.credentials.createSsl(ca, key, certificate);
  if (!token) {
    return channel;
  }
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  const call = grpc.credentials.createFromMetadataGenerator((_, done) => done(null, metadata));
  return grpc.credentials.combineChannelCredentials(channel, call);
}

function detailsOf(bytes) {
  if (!bytes) {
    return [];
  }
  return definition["google.rpc.Status"].deserialize(bytes).details.map((detail) => {
    const name = detail.type_url.split("/").pop();
    return { type: name, ...definition[name]?.deserialize(detail.value) };
  });
}
