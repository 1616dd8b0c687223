// CloudEvents that are not ours: npm's cloudevents in its MQTT binding. Standard input and output are
// one JSON list. usage: cloudevents.mjs make|read
//   make: [{mode: 'binary'|'structured', event: {...}, bytes?: base64 of the data}] becomes
//         [{contentType?, properties: {...}, payload: base64}]
//   read: the other way: [{contentType?, properties, payload}] becomes
//         [{event: {...}} or {error: '...'}], data that are bytes as {base64: ...}
// Its packages lie in the folder that PIPIT_NODE names.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const require = createRequire(`${process.env.PIPIT_NODE}/`)
const { CloudEvent, MQTT } = require('cloudevents')

function bytesOf (body) {
  if (body === undefined || body === null) {
    return Buffer.alloc(0)
  }
  return Buffer.isBuffer(body) || ArrayBuffer.isView(body) || typeof body === 'string'
    ? Buffer.from(body)
    : Buffer.from(JSON.stringify(body))
}

function make ({ mode, event, bytes }) {
  const data = bytes === undefined ? event.data : Buffer.from(bytes, 'base64')
  const message = MQTT[mode](new CloudEvent({ ...event, data }))
  const properties = Object.fromEntries(
    Object.entries(message['User Properties']).filter(([, value]) => value !== undefined).map(
      ([name, value]) => [name, String(value)]))
  const contentType = message.PUBLISH['Content Type']
  return { contentType, properties, payload: bytesOf(message.payload).toString('base64') }
}

const isJson = contentType => /[/+]json\b/.test(contentType ?? '')

function read ({ contentType, properties, payload }) {
  try {
    const bytes = Buffer.from(payload, 'base64')
    const headers = contentType === undefined ? properties : { datacontenttype: contentType, ...properties }
    const body = bytes.length > 0 && isJson(contentType) ? JSON.parse(bytes) : bytes.toString()
    const message = { PUBLISH: { 'Content Type': contentType }, headers, body, payload: body }
    const event = MQTT.toEvent(message, true)
    event.validate()
    return { event: event.toJSON() }
  } catch (error) {
    return { error: `${error.name}: ${error.message}` }
  }
}

const work = { make, read }[process.argv[2]]
console.log(JSON.stringify(JSON.parse(readFileSync(0)).map(work)))
