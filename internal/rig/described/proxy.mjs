// A validating proxy: forwards every request to --upstream and checks request and answer against an OpenAPI 3.0 file
// with ajv. Violations go to stderr as one JSON line each and into the header x-violations; --strict turns them into 502.
// usage: node proxy.mjs --spec graph.yaml --upstream http://127.0.0.1:15015 [--port 15014] [--strict]
// It says on stdout where it listens, and ends with its stdin.
import http from 'node:http'; import fs from 'node:fs';
import * as yaml from 'js-yaml'; import Ajv from 'ajv'; import addFormats from 'ajv-formats';
const arg = (n, d) => { const i = process.argv.indexOf('--' + n); return i < 0 ? d : process.argv[i + 1]; };
const doc = yaml.load(fs.readFileSync(arg('spec'), 'utf8')), up = new URL(arg('upstream')), strict = process.argv.includes('--strict');
const ajv = addFormats.default ? addFormats.default(new (Ajv.default || Ajv)({ strict: false, allErrors: true, coerceTypes: false })) : addFormats(new (Ajv.default || Ajv)({ strict: false, allErrors: true }));
for (const f of ['int32', 'int64', 'float', 'double', 'byte', 'binary', 'password', 'language', 'locale', 'timezone']) ajv.addFormat(f, true);
// OpenAPI 3.0 "nullable" to JSON Schema; discriminators carry no constraint of their own
const conv = o => { if (Array.isArray(o)) return o.map(conv); if (!o || typeof o !== 'object') return o;
  const r = {}; for (const [k, v] of Object.entries(o)) if (!['nullable', 'example', 'examples', 'discriminator', 'xml', 'externalDocs'].includes(k) && !k.startsWith('x-')) r[k] = conv(v);
  if (o.nullable) { if (typeof r.type === 'string') r.type = [r.type, 'null']; if (r.enum && !r.enum.includes(null)) r.enum = [...r.enum, null]; }
  return r; };
ajv.addSchema({ $id: 'doc', ...conv({ components: doc.components }) });
const deref = o => o?.$ref ? o.$ref.slice(2).split('/').reduce((a, k) => a[k.replace(/~1/g, '/')], doc) : o;
const fix = o => JSON.parse(JSON.stringify(o).replaceAll('"#/components/', '"doc#/components/'));
const compile = s => ajv.compile(fix(conv(s)));
const ops = [];
for (const [p, item] of Object.entries(doc.paths)) for (const m of ['get', 'post', 'put', 'patch', 'delete']) if (item[m]) {
  const op = item[m], names = [];
  const re = new RegExp('^' + p.replace(/[.*+?^$()|[\]\\]/g, '\\$&').replace(/\{([^}]+)\}/g, (_, n) => (names.push(n), '([^/]+)')) + '$');
  const params = [...(item.parameters || []), ...(op.parameters || [])].map(deref);
  const resp = {}; for (const [c, r0] of Object.entries(op.responses)) { const s = deref(r0).content?.['application/json']?.schema; resp[c] = s ? compile(s) : null; }
  ops.push({ p, m, re, params: params.map(x => ({ ...x, v: x.schema ? compile(deref(x.schema)) : null })), resp, lit: names.length });
}
ops.sort((a, b) => a.lit - b.lit); // a literal path wins over a template
const cast = (v, s) => { const t = deref(s)?.type; return t === 'integer' || t === 'number' ? (v !== '' && !isNaN(v) ? Number(v) : v) : t === 'boolean' ? (v === 'true' ? true : v === 'false' ? false : v) : v; };
process.stdin.resume().on('end', () => process.exit());
const server = http.createServer((q, r) => { 
  const u = new URL(q.url, up), bad = [], op = ops.find(o => o.m === q.method.toLowerCase() && o.re.test(u.pathname));
  const add = (where, v) => (v.errors || [{ message: v }]).slice(0, 20).forEach(e => bad.push({ where, at: e.instancePath || '', rule: e.keyword || '', message: e.message, got: e.params?.allowedValues || e.params?.missingProperty || e.params?.type }));
  if (!op) add('request', { errors: [{ message: `no such operation: ${q.method} ${u.pathname}` }] });
  else { const known = new Set(op.params.filter(x => x.in === 'query').map(x => x.name));
    for (const [k, v] of u.searchParams) { if (!known.has(k)) add('request', { errors: [{ instancePath: '?' + k, message: 'unknown query parameter' }] }); }
    for (const x of op.params) { const v = x.in === 'query' ? u.searchParams.get(x.name) : x.in === 'header' ? q.headers[x.name.toLowerCase()] : undefined;
      if (v == null) { if (x.required && x.in !== 'path') add('request', { errors: [{ instancePath: x.name, message: 'missing' }] }); }
      else if (x.v && !x.v(cast(v, x.schema))) add('request ' + x.in + ' ' + x.name, x.v); }
    if ((op.security || doc.security || true) && !q.headers.authorization) add('request', { errors: [{ message: 'no Authorization header' }] }); }
  const fwd = http.request(new URL(q.url, up), { method: q.method, headers: q.headers }, a => {
    const cs = []; a.on('data', c => cs.push(c)).on('end', () => {
      const body = Buffer.concat(cs), v = op?.resp[a.statusCode];
      if (op && !(a.statusCode in op.resp)) add('answer', { errors: [{ message: `status ${a.statusCode} is not described` }] });
      if (v) { let j; try { j = JSON.parse(body); } catch { add('answer', { errors: [{ message: 'not JSON' }] }); } if (j !== undefined && !v(j)) add('answer', v); }
      if (bad.length) console.error(JSON.stringify({ url: q.url, status: a.statusCode, violations: bad }));
      const h = { ...a.headers }; if (bad.length) h['x-violations'] = JSON.stringify(bad).slice(0, 4000).replace(/[^\x20-\x7e]/g, '?');
      if (strict && bad.length) { r.writeHead(502, { 'content-type': 'application/json' }); r.end(JSON.stringify(bad)); } else { r.writeHead(a.statusCode, h); r.end(body); }
    }); });
  fwd.on('error', e => { r.writeHead(502); r.end(String(e)); }); q.pipe(fwd);
}).listen(Number(arg('port', '0')), '127.0.0.1', () => console.log(`base http://127.0.0.1:${server.address().port}`));
