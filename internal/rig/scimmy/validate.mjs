// Holds what a SCIM server says against scimmy: reads {"schemas", "users", "groups",
// "lists"} from its input and prints what scimmy does not accept, a line each, and
// "done" at the end.
import scimmy from "scimmy";

const SCIMMY = scimmy.default ?? scimmy;
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const given = JSON.parse(Buffer.concat(chunks).toString());
SCIMMY.Schemas.User.extend(SCIMMY.Schemas.EnterpriseUser, false);

function check(what, fn) {
  try {
    fn();
  } catch (e) {
    console.log(`${what}: ${e.message}`);
  }
}

const attribute = (a) => new SCIMMY.Types.Attribute(a.type, a.name, {
  multiValued: a.multiValued, description: a.description, required: a.required, canonicalValues: a.canonicalValues ?? false, caseExact: a.caseExact ?? false,
  mutable: a.mutability, returned: a.returned ?? true, uniqueness: a.uniqueness ?? "none", referenceTypes: a.referenceTypes ?? false,
}, (a.subAttributes ?? []).map(attribute));

for (const s of given.schemas) {
  check(`schema ${s.id}`, () => new SCIMMY.Types.SchemaDefinition(s.name, s.id, s.description, s.attributes.filter((a) => a.name !== "externalId").map(attribute)));
}
for (const [i, r] of given.users.entries()) check(`user ${i}`, () => new SCIMMY.Schemas.User(r, "in"));
for (const [i, r] of given.groups.entries()) check(`group ${i}`, () => new SCIMMY.Schemas.Group(r, "in"));
for (const [i, r] of given.lists.entries()) check(`list ${i}`, () => new SCIMMY.Messages.ListResponse(r));
console.log("done");
