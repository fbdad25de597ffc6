'use strict';
// A strict CSMS on ocpp-rpc for 1.6, 2.0.1 and 2.1: validates every message both ways and says what it sees.
//
//   node cloud.js [--protocols ocpp2.1,ocpp2.0.1,ocpp1.6] [--port 0]
//
// Listens on this port of 127.0.0.1, 0 a free one, and takes every charger at every path, until it is told otherwise.
//
// events   listening, knock, refused, connected, closed, call, answered, answered_error,
//          violation, bad_message, done, failed
// commands call, close, cut, restore, password, refuse, fail, tag

const { RPCServer, createRPCError } = require('ocpp-rpc');
const { answer } = require('./desk');
const { say, options, obey, complain } = require('./lines');
const { ocpp21 } = require('./validators');

const option = options({ protocols: 'ocpp2.1,ocpp2.0.1,ocpp1.6', port: '0' });
const clients = new Map(); // identity -> RPCServerClient
const failures = []; // {identity, action, code} not used up yet
const passwords = new Map(); // identity -> what it must know; others may come without
const refusals = new Map(); // identity -> HTTP status
let port = Number(option.port);
let http = null;

const server = new RPCServer({
  protocols: option.protocols.split(','),
  strictMode: true,
  strictModeValidators: [ocpp21],
  pingIntervalMs: 0,
  callTimeoutMs: 60_000,
  wssOptions: { perMessageDeflate: true },
});

function statusFor({ identity, password }) {
  if (refusals.has(identity)) return refusals.get(identity);
  if (!passwords.has(identity)) return null;
  return password?.toString('utf8') === passwords.get(identity) ? null : 401;
}

server.auth((accept, reject, handshake) => {
  const { identity, protocols, password, request } = handshake;
  say('knock', {
    identity,
    path: request.url,
    offered: [...protocols],
    password: password?.toString('utf8') ?? null,
    password_hex: password?.toString('hex') ?? null,
    extensions: request.headers['sec-websocket-extensions'] ?? '',
  });
  const status = statusFor(handshake);
  if (status === null) return accept();
  say('refused', { identity, status });
  return reject(status);
});

server.on('client', (client) => {
  const { identity, protocol } = client;
  const facts = () => ({ identity, protocol });
  let raw = '';
  clients.set(identity, client);
  say('connected', { ...facts(), path: client.handshake.request.url });
  client.on('close', ({ code, reason }) => {
    if (clients.get(identity) === client) clients.delete(identity);
    say('closed', { ...facts(), code, reason });
  });
  client.on('message', ({ message, outbound }) => {
    if (!outbound) raw = message;
  });
  client.on('call', ({ outbound, payload: [, id, action, params] }) => {
    if (!outbound) say('call', { ...facts(), id, action, params, raw });
  });
  client.on('callResult', ({ outbound, messageId: id, method: action, result }) => {
    if (!outbound) say('answered', { ...facts(), id, action, result });
  });
  client.on('callError', ({ outbound, messageId: id, method: action, error }) => {
    if (!outbound) say('answered_error', { ...facts(), id, action, text: error.message });
  });
  complain(client, facts);
  client.handle(({ method, params }) => {
    const index = failures.findIndex((one) => one.identity === identity && one.action === method);
    if (index >= 0) {
      const [failure] = failures.splice(index, 1);
      throw createRPCError(failure.code, 'as told');
    }
    return answer(identity, protocol, method, params);
  });
});

function clientOf(identity) {
  const client = clients.get(identity);
  if (!client) throw Error(`${identity} is not connected`);
  return client;
}

async function listen() {
  http = await server.listen(port, '127.0.0.1');
  port = http.address().port;
}

const commands = {
  /** A CALL to a charger; the result is the payload of its answer. */
  call: ({ identity, action, params }) => clientOf(identity).call(action, params),
  /** Close one connection politely. */
  close: ({ identity, code }) => clientOf(identity).close({ code }),
  /** Be gone: break every connection, refuse new ones. */
  cut: async () => {
    const closed = new Promise((resolve) => http.close(resolve));
    await Promise.all([...clients.values()].map((client) => client.close({ force: true })));
    await closed;
  },
  /** Be back on the same port. */
  restore: listen,
  /** From now on this charger must know this password. */
  password: ({ identity, password }) => {
    passwords.set(identity, password);
  },
  /** From now on this charger's handshakes are refused with this HTTP status. */
  refuse: ({ identity, status }) => {
    refusals.set(identity, status);
  },
  /** Answer the charger's next CALL of this action with CALLERROR. */
  fail: ({ identity, action, code }) => {
    failures.push({ identity, action, code });
  },
  /** From now on this tag has this status. */
  tag: ({ tag, status }) => {
    answer.tags.set(tag, status);
  },
};

listen().then(() => {
  say('listening', { port });
  obey(commands);
});
