// Makes calls with the example's client: node_calls.mjs <its micromoment.js> <address>.
//
// Takes [{name, requests}] as JSON on stdin; gives for each call the replies as protobuf in base64,
// the status, and what the client read from the error's details.
import { readFileSync } from "node:fs";

const { CallError, Client, definition, timestamp } = await import(process.argv[2]);
const client = new Client({ address: process.argv[3] }, 30_000);
async function all(replies) {
  const read = [];
  for await (const reply of replies) {
    read.push(reply);
  }
  return read;
}

const methods = {
  Score: (requests) => client.score(requests[0]),
  BatchScore: (requests) => client.batchScore(requests[0]),
  GetSession: (requests) => client.getSession(requests[0]),
  Ingest: (requests) => client.ingest(requests[0]),
  StreamScores: (requests) => all(client.streamScores(requests)),
};
const times = new Set(["eventTime", "asOf"]);
const calls = JSON.parse(readFileSync(0, "utf-8"), (name, value) =>
  times.has(name) ? timestamp(Date.parse(value)) : value,
);
const answers = [];
for (const { name, requests } of calls) {
  const answer = { status: "OK", replies: [], reason: "", fields: [], retryMs: 0 };
  answers.push(answer);
  try {
    const replies = [await methods[name](requests)].flat();
    const { serialize } = definition[`micromoment.v1.${name}Response`];
    answer.replies = replies.map((reply) => serialize(reply).toString("base64"));
  } catch (error) {
    if (!(error instanceof CallError)) {
      throw error;
    }
    answer.status = error.status;
    answer.reason = error.reason;
    answer.fields = error.fields.map((field) => field.field);
    answer.retryMs = error.retryMs;
  }
}
client.close();
process.stdout.write(JSON.stringify(answers));
