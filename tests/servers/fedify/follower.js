// A follower: one person, `ana`, on a server made with Fedify. It does what it is told on standard input, and writes on
// standard output what it hears: JSON, a line each. It ends with its standard input.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createFederation, generateCryptoKeyPair, MemoryKvStore } from "@fedify/fedify";
import { Accept, Add, Create, Delete, Follow, isActor, Person, Remove, Undo, Update } from "@fedify/fedify/vocab";

const NAME = "ana";
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const federation = createFederation({
  kv: new MemoryKvStore(),
  allowPrivateAddress: true, // everything here is on this machine
});
const keys = [await generateCryptoKeyPair("RSASSA-PKCS1-v1_5")];

federation
  .setActorDispatcher("/users/{identifier}", async (context, identifier) => {
    if (identifier !== NAME) return null;
    const [pair] = await context.getActorKeyPairs(identifier);
    return new Person({
      id: context.getActorUri(identifier),
      preferredUsername: identifier,
      name: "Ana",
      inbox: context.getInboxUri(identifier),
      publicKey: pair.cryptographicKey,
    });
  })
  .setKeyPairsDispatcher((_, identifier) => (identifier === NAME ? keys : []));

const heard = async (context, activity) => {
  const format = { format: "compact", contextLoader: context.contextLoader };
  tell({ type: activity.constructor.name, activity: await activity.toJsonLd(format) });
};
let listeners = federation.setInboxListeners("/users/{identifier}/inbox");
for (const kind of [Accept, Add, Create, Delete, Remove, Update]) listeners = listeners.on(kind, heard);
listeners.onError((_, error) => tell({ type: "error", message: String(error) }));

const answer = async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
  const address = `http://${request.headers.host}${request.url}`;
  const asked = new Request(address, { method: request.method, headers: request.headers, body });
  const answered = await federation.fetch(asked, { contextData: undefined });
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  response.end(Buffer.from(await answered.arrayBuffer()));
};
const server = createServer((request, response) => {
  // Whoever hangs up in the middle of a request comes again.
  answer(request, response).catch((error) => process.stderr.write(`${error}\n`));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const origin = `http://127.0.0.1:${server.address().port}`;
tell({ url: origin });

const follow = (context, whom, id) =>
  new Follow({ id: new URL(`${origin}/follows/${id}`), actor: context.getActorUri(NAME), object: whom.id });
const commands = {
  async look(context, { address }) {
    const found = await context.lookupObject(address);
    tell({ type: "found", actor: isActor(found) && (await found.toJsonLd({ contextLoader: context.contextLoader })) });
  },
  async follow(context, { address, id }) {
    const whom = await context.lookupObject(address);
    await context.sendActivity({ identifier: NAME }, whom, follow(context, whom, id));
    tell({ type: "followed" });
  },
  async unfollow(context, { address, id }) {
    const whom = await context.lookupObject(address);
    const undo = { id: new URL(`${origin}/follows/${id}#undo`), actor: context.getActorUri(NAME) };
    await context.sendActivity({ identifier: NAME }, whom, new Undo({ ...undo, object: follow(context, whom, id) }));
    tell({ type: "unfollowed" });
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    await commands[command.do](federation.createContext(new URL(origin), undefined), command);
  } catch (error) {
    tell({ type: "error", message: `${command.do}: ${error}` });
  }
}
process.exit(0);
