// Calls Score at a constant rate, each call with a new event of one of some sessions in turn.
import exec from 'k6/execution';
import grpc from 'k6/net/grpc';
import { check } from 'k6';

const client = new grpc.Client();
client.load(JSON.parse(__ENV.PROTO_PATHS), 'micromoment/v1/scoring.proto');
const template = JSON.parse(__ENV.TEMPLATE);
const sessions = Number(__ENV.SESSIONS);
const counts = __ENV.COUNTS === '1'; // an empty service counts no events

export const options = {
  scenarios: {
    score: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE),
      timeUnit: '1s',
      duration: __ENV.SECONDS,
      preAllocatedVUs: 16,
      maxVUs: 64,
    },
  },
  summaryTrendStats: ['med', 'p(99)', 'max'],
};

let connected = false;

export default function () {
  if (!connected) {
    client.connect(__ENV.ADDRESS, { plaintext: true });
    connected = true;
  }
  const number = exec.scenario.iterationInTest;
  template.session_id = `${__ENV.SESSION}-${number % sessions}`;
  template.events[0].event_id = `${__ENV.RUN}-${number}`;
  const reply = client.invoke('micromoment.v1.ScoringService/Score', template);
  check(reply, {
    answered: (r) => r.status === grpc.StatusOK && (!counts || isTaken(r.message, number)),
  });
}

function isTaken(score, number) {
  return score.lastEventId === `${__ENV.RUN}-${number}` && !score.duplicates;
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
