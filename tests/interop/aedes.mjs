// A broker that is not mosquitto, for MQTT 3.1.1 and 5. usage: aedes.mjs PORT [USER PASSWORD]
// Its packages lie in the folder that PIPIT_NODE names. It says what happens, a line each.
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.env.PIPIT_NODE}/`)
const { Aedes } = await import(pathToFileURL(require.resolve('aedes')))

const BAD_USER_OR_PASSWORD = 4 // Aedes makes 0x86 of it for MQTT 5.
const [port, user, password] = process.argv.slice(2)
const say = (...words) => console.log(...words)

function authenticate (client, givenUser, givenPassword, done) {
  if (user === undefined || (givenUser === user && String(givenPassword) === password)) {
    done(null, true)
    return
  }
  done(Object.assign(new Error('wrong user or password'), { returnCode: BAD_USER_OR_PASSWORD }), false)
}

const broker = await Aedes.createBroker({ authenticate })
broker.on('clientReady', client => say('ready', client.id))
broker.on('clientDisconnect', client => say('gone', client.id))
broker.on('clientError', (client, error) => say('error', client.id, error.message))
broker.on('connectionError', (client, error) => say('refused', error.message))

// Small packets, answered at once: no Nagle, as mosquitto does with its set_tcp_nodelay.
const server = createServer({ noDelay: true }, broker.handle)
server.listen(Number(port), '127.0.0.1', () => say('listening'))
