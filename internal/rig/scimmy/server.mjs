// A SCIM server of the npm registry, scimmy with scimmy-routers on express: the
// protocol is theirs, the storage is a map in memory with an index by name.
// It prints "base URL" when it listens, and ends when its input does.
import { randomUUID } from "node:crypto";
import express from "express";
import scimmy from "scimmy";
import routers from "scimmy-routers";

const SCIMMY = scimmy.default ?? scimmy;
const Routers = routers.default ?? routers;
const token = process.env.TOKEN;

function store(type, name) {
  const map = new Map(), names = new Map();
  const key = (o) => String(o[name] ?? "").toLowerCase();
  return {
    ingress(resource, data) {
      const now = new Date().toISOString(), record = structuredClone(JSON.parse(JSON.stringify(data)));
      delete record.schemas;
      const taken = names.get(key(record));
      if (taken && taken !== resource.id) throw new SCIMMY.Types.Error(409, "uniqueness", `${name} '${record[name]}' is taken`);
      const old = resource.id && map.get(resource.id);
      if (resource.id && !old) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
      if (old) names.delete(key(old));
      record.id = resource.id ?? randomUUID();
      record.meta = { resourceType: type, created: old ? old.meta.created : now, lastModified: now };
      map.set(record.id, record);
      names.set(key(record), record.id);
      return structuredClone(record);
    },
    egress(resource) {
      if (resource.id) {
        const record = map.get(resource.id);
        if (!record) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
        return structuredClone(record);
      }
      const by = resource.filter?.length === 1 && Object.keys(resource.filter[0]).length === 1 && resource.filter[0][name];
      if (by && by[0] === "eq") {
        const id = names.get(String(by[1]).toLowerCase());
        return id ? [structuredClone(map.get(id))] : [];
      }
      const all = [...map.values()].map((o) => structuredClone(o));
      return resource.filter ? resource.filter.match(all) : all;
    },
    degress(resource) {
      const old = map.get(resource.id);
      if (!old) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
      names.delete(key(old));
      map.delete(resource.id);
    },
  };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false), store("User", "userName"));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, store("Group", "displayName"));

const app = express();
app.use("/scim/v2", new Routers({
  type: "bearer",
  handler: (request) => {
    if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("no such token");
    return "client";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(`base http://127.0.0.1:${server.address().port}/scim/v2`));
process.stdin.on("end", () => process.exit(0)).resume();
