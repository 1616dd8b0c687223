// The packets of npm's mqtt-packet, for comparison with the SDK's own codec. One JSON object a line;
// bytes are hexadecimal. Its packages lie in the folder that PIPIT_NODE names.
//
// packets.mjs parse              for lines {"v", "hex"}: the packet, or {"error"}
// packets.mjs generate SEED N    random packets of a broker: {"v", "hex", "packet"}
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const require = createRequire(`${process.env.PIPIT_NODE}/`)
const mqtt = require('mqtt-packet')

const hexed = (key, value) => value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value
const say = object => process.stdout.write(JSON.stringify(object, hexed) + '\n')

// ---- parsing ------------------------------------------------------------------------------------

function parse (version, bytes) {
  const parser = mqtt.parser({ protocolVersion: version })
  const found = []
  parser.on('packet', packet => found.push(packet))
  parser.on('error', error => found.push({ error: error.message }))
  const left = parser.parse(bytes)
  return found.length === 1 && left === 0 ? found[0] : { error: `${found.length} packets, ${left} bytes left`, found }
}

async function parseAll () {
  for await (const line of createInterface({ input: process.stdin })) {
    const { v, hex } = JSON.parse(line)
    say(parse(v, Buffer.from(hex, 'hex')))
  }
}

// ---- generating ---------------------------------------------------------------------------------

// mulberry32: a seed gives the same packets, always.
function randomFrom (seed) {
  let state = seed >>> 0
  return bound => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % bound
  }
}

function generators (below) {
  const oneOf = list => list[below(list.length)]
  const text = max => Array.from({ length: below(max + 1) }, () => oneOf([...'aZ/7 $é߿ह€🌡🜚'])).join('')
  const bytes = length => Buffer.from(Array.from({ length }, () => below(256)))
  const flag = () => below(2) === 1
  const id = () => 1 + below(65535)
  // Around the places where the length of a packet takes another byte, and anywhere.
  const length = () => oneOf([below(60), below(60), 100 + below(40), 16360 + below(40)])
  const userProperties = () => ({ [text(5) || 'k']: [text(9), text(9)], [`${text(5)}x`]: text(9) })

  // A random part of the properties that a packet may have.
  const some = makers => {
    const chosen = Object.entries(makers).filter(flag).map(([name, make]) => [name, make()])
    return chosen.length > 0 ? { properties: Object.fromEntries(chosen) } : {}
  }
  const reasons = { reasonString: () => text(20), userProperties }

  const publish = v => {
    const qos = below(3)
    return {
      cmd: 'publish', topic: text(60) || 't', payload: bytes(length()), qos, dup: qos > 0 && flag(), retain: flag(),
      ...(qos > 0 && { messageId: id() }),
      ...(v === 5 && some({
        payloadFormatIndicator: flag, messageExpiryInterval: () => below(2 ** 32), responseTopic: () => text(9) || 't',
        correlationData: () => bytes(below(40)), userProperties, contentType: () => text(20),
        subscriptionIdentifier: () => oneOf([1, 127, 128, 16384, 268435455])
      }))
    }
  }
  const connack = v => v === 4
    ? { cmd: 'connack', sessionPresent: flag(), returnCode: below(6) }
    : {
        cmd: 'connack', sessionPresent: flag(), reasonCode: oneOf([0, 0, 0, 0x80, 0x86, 0x87, 0x89, 0x9F]),
        ...some({
          sessionExpiryInterval: () => below(2 ** 32), receiveMaximum: id, maximumQoS: () => below(2), retainAvailable: flag,
          maximumPacketSize: () => 1 + below(2 ** 32 - 1), assignedClientIdentifier: () => text(30),
          topicAliasMaximum: () => below(65536), wildcardSubscriptionAvailable: flag, subscriptionIdentifiersAvailable: flag,
          sharedSubscriptionAvailable: flag, serverKeepAlive: () => below(65536), responseInformation: () => text(9),
          serverReference: () => text(9), authenticationMethod: () => text(9), authenticationData: () => bytes(below(40)),
          ...reasons
        })
      }
  const answer = (cmd, codes) => v =>
    ({ cmd, messageId: id(), ...(v === 5 && { reasonCode: oneOf(codes), ...some(reasons) }) })
  const list = (cmd, old, codes) => v => ({
    cmd, messageId: id(), ...(v === 5 ? some(reasons) : {}), ...((v === 5 || old) && { granted: [oneOf(v === 5 ? codes : old)] })
  })
  return [
    publish, publish, connack,
    answer('puback', [0, 0, 0x10, 0x80, 0x87, 0x97]), answer('pubrec', [0, 0, 0x10, 0x80, 0x91, 0x99]),
    answer('pubrel', [0, 0x92]), answer('pubcomp', [0, 0x92]),
    list('suback', [0, 1, 2, 128], [0, 1, 2, 0x80, 0x87, 0xA2]), list('unsuback', null, [0, 0x11, 0x80, 0x8F])
  ]
}

function generateAll (seed, count) {
  const below = randomFrom(seed)
  const makers = generators(below)
  for (let i = 0; i < count; i++) {
    const v = 4 + below(2)
    const packet = makers[below(makers.length)](v)
    say({ v, hex: mqtt.generate(packet, { protocolVersion: v }), packet })
  }
}

const [mode, seed, count] = process.argv.slice(2)
if (mode === 'parse') {
  await parseAll()
} else {
  generateAll(Number(seed), Number(count))
}
