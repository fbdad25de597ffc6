'use strict';
// Strict chargers on ocpp-rpc for 1.6, 2.0.1 and 2.1: they validate every message both ways and say what
// they see. One process holds as many as a test wants.
//
//   node charger.js
//
// events   started, open, disconnected, call, violation, bad_message, done, failed
// commands add, and for one of them, named by its identity: connect, close, call, boot, status,
//          authorize, start, meter, stop

const { RPCClient, createRPCError } = require('ocpp-rpc');
const dialect = require('./dialect');
const { say, options, obey, complain } = require('./lines');
const { ocpp21 } = require('./validators');

class Charger {
  constructor({ url, identity, protocols, password = null, reconnect = false }) {
    this.identity = identity;
    this.sessions = new Map(); // connector -> {connector, tag, register, id}
    this.client = new RPCClient({
      endpoint: url,
      identity,
      protocols,
      password,
      strictMode: protocols.length > 0,
      strictModeValidators: [ocpp21],
      callTimeoutMs: 60_000,
      pingIntervalMs: 0,
      reconnect,
      backoff: { initialDelay: 30, maxDelay: 150, factor: 2, randomisationFactor: 0.25 },
    });
    this.client.on('open', () => say('open', this.facts()));
    this.client.on('disconnect', ({ code, reason }) => say('disconnected', { ...this.facts(), code, reason }));
    this.client.handle((call) => this.answer(call));
    complain(this.client, () => this.facts());
  }

  facts() {
    return { identity: this.identity, protocol: this.client.protocol ?? null };
  }

  get speech() {
    return dialect.of(this.client.protocol)[0];
  }

  ask([action, params]) {
    return this.client.call(action, params);
  }

  // --- what the CSMS asks ---------------------------------------------------------------------------

  answer({ method, params, messageId }) {
    say('call', { ...this.facts(), id: messageId, action: method, params });
    const known = this.remote[method] ?? dialect.of(this.client.protocol)[1][method];
    if (!known) throw createRPCError('NotImplemented', method);
    return known(params);
  }

  get remote() {
    return {
      RemoteStartTransaction: ({ connectorId, idTag }) => this.remoteStart(connectorId, idTag),
      RemoteStopTransaction: ({ transactionId }) => this.remoteStop(transactionId),
      RequestStartTransaction: ({ evseId, idToken }) => this.remoteStart(evseId, idToken.idToken),
      RequestStopTransaction: ({ transactionId }) => this.remoteStop(transactionId),
    };
  }

  remoteStart(connector, tag) {
    setImmediate(() => this.start({ connector, tag })); // after the answer is out, as chargers do it
    return { status: 'Accepted' };
  }

  remoteStop(id) {
    const found = [...this.sessions.values()].find((session) => session.id === id);
    if (!found) return { status: 'Rejected' };
    setImmediate(() => this.stop({ connector: found.connector, reason: 'Remote' }));
    return { status: 'Accepted' };
  }

  // --- commands -------------------------------------------------------------------------------------

  /** Dial; "failed" carries the HTTP status of a refusal. */
  async connect() {
    await this.client.connect();
    return { protocol: this.client.protocol };
  }

  close() {
    return this.client.close();
  }

  call({ action, params }) {
    return this.ask([action, params]);
  }

  boot() {
    return this.ask(this.speech.boot());
  }

  status({ connector = 1, status = 'Available' }) {
    return this.ask(this.speech.status(connector, status));
  }

  async authorize({ tag }) {
    return this.speech.info(await this.ask(this.speech.authorize(tag)));
  }

  async start({ connector = 1, tag }) {
    const session = { connector, tag, register: 1000 * connector, id: null };
    const result = await this.ask(this.speech.start(session));
    this.speech.started(session, result);
    this.sessions.set(connector, session);
    return { transaction: session.id, status: this.speech.info(result) };
  }

  async meter({ connector = 1, wh = 250 }) {
    const session = this.sessionAt(connector);
    session.register += wh;
    return this.ask(this.speech.meter(session));
  }

  async stop({ connector = 1, reason = 'Local' }) {
    const session = this.sessionAt(connector);
    session.register += 1;
    const result = await this.ask(this.speech.stop(session, reason));
    this.sessions.delete(connector);
    return { transaction: session.id, register: session.register, status: this.speech.info(result) };
  }

  sessionAt(connector) {
    const session = this.sessions.get(connector);
    if (!session) throw Error(`nothing charges at connector ${connector}`);
    return session;
  }
}

const chargers = new Map();
const names = ['connect', 'close', 'call', 'boot', 'status', 'authorize', 'start', 'meter', 'stop'];

function command(name) {
  return ({ identity, ...given }) => chargers.get(identity)[name](given);
}

options({});
say('started');
obey({
  add: (given) => {
    chargers.set(given.identity, new Charger(given));
  },
  ...Object.fromEntries(names.map((name) => [name, command(name)])),
});
