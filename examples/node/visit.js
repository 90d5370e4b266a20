// Scores a visit as a shop's backend does: the page view and the product that were just looked at.
import { randomUUID } from "node:crypto";

import { CallError, Client, SettingsError, timestamp } from "./micromoment.js";

const visit = process.argv[2] ?? randomUUID();
let client;
try {
  client = new Client();
  const reply = await client.score({
    sessionId: visit,
    anonymousId: "browser-1",
    events: [
      {
        // Its own id: an event that is sent twice counts once.
        eventId: randomUUID(),
        type: "EVENT_TYPE_PAGE_VIEW",
        eventTime: timestamp(),
        page: { pageId: "/", type: "PAGE_TYPE_HOME" },
      },
      {
        eventId: randomUUID(),
        type: "EVENT_TYPE_ITEM_VIEW",
        eventTime: timestamp(),
        items: [{ itemId: "sku-1", priceMicros: 19_990_000 }],
      },
    ],
    explain: true,
  });
  console.log(`visit ${visit}: ${reply.eventsSeen} events, conversion ${reply.conversion}`);
  for (const reason of reply.reasons) {
    console.log(`  ${reason.sentence}`);
  }
} catch (error) {
  // A page does without a score; it never shows an error.
  if (error instanceof CallError) {
    const reason = error.reason && error.reason !== error.status ? ` (${error.reason})` : "";
    console.error(`no score: ${error.status}${reason}: ${error.message}`);
  } else if (error instanceof SettingsError) {
    console.error(`no score: ${error.message}`);
  } else {
    throw error;
  }
  process.exitCode = 1;
} finally {
  client?.close();
}
