// The SCIM server of a product, Ory Polis (the package is called saml-jackson), behind
// a few lines of HTTP; its storage is in memory. /members/GROUP, which it has not,
// tells who is in a group. It prints "base URL TOKEN" when it listens, and ends when
// its input does.
import http from "node:http";
import jackson from "@boxyhq/saml-jackson";

const quiet = { info() {}, warn() {}, error: console.error };
const init = jackson.default ?? jackson;
const { directorySyncController: sync } = await init({ externalUrl: "http://127.0.0.1", samlAudience: "x", samlPath: "/x", db: { engine: "mem" }, noAnalytics: true, logger: quiet });
const { data: directory } = await sync.directories.create({ name: "test", tenant: "test", product: "test", type: "generic-scim-v2" });
sync.groups.setTenantAndProduct("test", "test");

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const url = new URL(request.url, "http://127.0.0.1");
  const [, kind, id] = url.pathname.split("/");
  const query = Object.fromEntries(url.searchParams);
  for (const name of ["startIndex", "count"]) if (query[name]) query[name] = Number(query[name]);
  try {
    const answer = kind === "members"
      ? { status: 200, data: (await sync.groups.getGroupMembers({ groupId: id })).data.map((m) => m.user_id) }
      : await sync.requests.handle({
        method: request.method, directoryId: directory.id, resourceType: kind.toLowerCase(), resourceId: id, query,
        apiSecret: (request.headers.authorization ?? "").replace(/^Bearer /, ""), body: chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined,
      });
    response.writeHead(answer.status, { "Content-Type": "application/scim+json" }).end(JSON.stringify(answer.data ?? {}));
  } catch (e) {
    response.writeHead(500, { "Content-Type": "application/json" }).end(JSON.stringify({ detail: String(e) }));
  }
});
console.log = () => {}; // it says on every request that it tells nobody
server.listen(0, "127.0.0.1", () => process.stdout.write(`base http://127.0.0.1:${server.address().port} ${directory.scim.secret}\n`));
process.stdin.on("end", () => process.exit(0)).resume();
