// An OpenID Connect provider on a free port of loopback. It prints its issuer, and
// takes commands, one a line: "rotate" signs with another key from then on.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { webcrypto } from 'node:crypto'
import Provider from 'oidc-provider'

const client = JSON.parse(process.env.CLIENT)

async function key(kid) {
  const pair = await webcrypto.subtle.generateKey({ name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }, true, ['sign', 'verify'])
  return { ...await webcrypto.subtle.exportKey('jwk', pair.privateKey), kid, use: 'sig', alg: 'RS256', key_ops: undefined, ext: undefined }
}

// Whoever comes is taken for who they say they are.
async function findAccount(_ctx, id) {
  return {
    accountId: id,
    claims: async () => ({ sub: id, email: `${id}@example.org`, email_verified: true, preferred_username: id, given_name: 'Anna', family_name: 'Ames', name: 'Anna Ames' }),
  }
}

let provider, issuer, round = 0
async function renew() {
  provider = new Provider(issuer, {
    clients: [client], findAccount, jwks: { keys: [await key(`key-${++round}`)] }, cookies: { keys: ['rig'] },
    claims: { email: ['email', 'email_verified'], profile: ['preferred_username', 'given_name', 'family_name', 'name'] },
    conformIdTokenClaims: process.env.THIN !== '', // the rest only from userinfo
    pkce: { required: () => true }, features: { devInteractions: { enabled: true } },
  })
}

const server = createServer((req, res) => provider.callback()(req, res))
server.listen(0, '127.0.0.1', async () => {
  issuer = `http://127.0.0.1:${server.address().port}`
  await renew()
  console.log(`issuer ${issuer}`)
})
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'rotate') {
    await renew()
    console.log('rotated')
  }
}
process.exit(0) // whoever started us has gone
