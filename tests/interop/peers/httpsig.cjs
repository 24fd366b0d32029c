// @hellocoop/httpsig, driven line by line: one JSON object in, one out. NODE_PATH leads to its installation.
'use strict'

const { createPrivateKey, generateKeyPairSync } = require('node:crypto')
const { createInterface } = require('node:readline')
const httpsig = require('@hellocoop/httpsig')

// Documents it asks for are those it was given; nothing leaves this machine.
const network = globalThis.fetch
let documents = {}
globalThis.fetch = async (url, options) => {
    const address = String(url)
    if (new URL(address).hostname === '127.0.0.1') return network(url, options)
    const found = documents[address]
    return found === undefined ? new Response('', { status: 404 }) : Response.json(found)
}

const FRESH = { ES384: ['ec', { namedCurve: 'P-384' }], PS256: ['rsa', { modulusLength: 2048 }] }
const signingKey = (pem, alg) => ({ ...createPrivateKey(pem).export({ format: 'jwk' }), alg })

const signed = ({ key, alg, message, scheme, ...more }, dryRun) =>
    httpsig.fetch(message.url, {
        method: message.method,
        headers: message.headers,
        body: message.body || undefined,
        signingKey: signingKey(key, alg),
        signatureKey: scheme,
        dryRun,
        ...more,
    })

const commands = {
    sign: async (given) => Object.fromEntries((await signed(given, true)).headers),
    send: async (given) => {
        const response = await signed(given, false)
        return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
    },
    signWithFreshKey: async ({ alg, message }) => {
        const [type, options] = FRESH[alg]
        const key = generateKeyPairSync(type, options).privateKey.export({ type: 'pkcs8', format: 'pem' })
        return Object.fromEntries((await signed({ key, alg, message, scheme: { type: 'hwk' } }, true)).headers)
    },
    verify: async ({ message, options, ...given }) => {
        documents = given.documents
        const url = new URL(message.url)
        const outcome = await httpsig.verify(
            {
                method: message.method,
                authority: url.host,
                path: url.pathname,
                query: url.search ? url.search.slice(1) : undefined,
                headers: message.headers,
                body: message.body || undefined,
            },
            { jwksCacheTtl: 0, ...options },
        )
        if (!outcome.verified) {
            throw { refused: { code: outcome.signatureError?.error ?? 'not verified', detail: outcome.error, ...outcome } }
        }
        return { type: outcome.keyType, thumbprint: outcome.thumbprint, claims: outcome.jwt?.payload ?? null }
    },
    thumbprint: ({ jwk }) => httpsig.calculateThumbprint(jwk),
    readSignatureError: ({ value }) => httpsig.parseSignatureError(value),
    signatureError: ({ error }) => httpsig.generateSignatureErrorHeader(error),
    readAccepted: ({ schemes, algorithms }) => ({
        schemes: httpsig.parseAcceptSignatureScheme(schemes),
        algorithms: httpsig.parseAcceptSignatureAlg(algorithms),
    }),
    readRequirement: ({ value }) => {
        const [item, parameters] = httpsig.parseDictionary(value).get('requirement')
        return { requirement: String(item), parameters: Object.fromEntries(parameters) }
    },
}

const answer = async ({ do: name, ...given }) => {
    try {
        return { result: await commands[name](given) }
    } catch (error) {
        return error.refused ? { refused: error.refused } : { broken: String(error.stack ?? error) }
    }
}

;(async () => {
    for await (const line of createInterface({ input: process.stdin })) {
        process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
    }
})()
