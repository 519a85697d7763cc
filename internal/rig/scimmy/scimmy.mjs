// A SCIM server: scimmy's protocol over a map in memory. It prints its address, and
// ends with its standard input.
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import path from "node:path";

const need = createRequire(path.join(process.env.MODULES, "x.js"));
const express = need("express");
const whole = (m) => m.default ?? m;
const SCIMMY = whole(need("scimmy"));
const Routers = whole(need("scimmy-routers"));

const copy = (v) => JSON.parse(JSON.stringify(v));

function kept(type, unique) {
  const all = new Map();
  const there = (id) => {
    if (!all.has(id)) throw new SCIMMY.Types.Error(404, null, `there is no ${id}`);
    return all.get(id);
  };
  return {
    ingress(resource, data) {
      const had = resource.id ? there(resource.id) : undefined;
      const now = new Date().toISOString();
      const is = copy(data);
      delete is.schemas;
      for (const [id, other] of all)
        if (id !== resource.id && String(other[unique]).toLowerCase() === String(is[unique]).toLowerCase())
          throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
      is.id = had?.id ?? randomUUID();
      is.meta = { resourceType: type, created: had?.meta.created ?? now, lastModified: now };
      all.set(is.id, is);
      return copy(is);
    },
    egress(resource) {
      if (resource.id) return copy(there(resource.id));
      const list = [...all.values()].map(copy);
      return resource.filter ? resource.filter.match(list) : list;
    },
    degress(resource) {
      there(resource.id);
      all.delete(resource.id);
    },
  };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false), kept("User", "userName"));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, kept("Group", "displayName"));

const app = express();
app.use("/scim/v2", new Routers({
  type: "bearer",
  handler: (r) => {
    if (r.header("Authorization") !== `Bearer ${process.env.TOKEN}`) throw new Error("who is this?");
    return "rollcall";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(`base http://127.0.0.1:${server.address().port}/scim/v2`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
