'use strict';
// Strict chargers on ocpp-rpc that really load firmware and really send logs, with node's own http.
//
//   node file_charger.js
//
// They validate every message both ways, do what they are told at once and install nothing.
//
// events   started, call, downloaded, uploaded, told, violation, bad_message, done, failed
// commands add, and for one of them, named by its identity: connect, boot, refuse, avoid

const { createHash } = require('node:crypto');
const http = require('node:http');
const { RPCClient, createRPCError } = require('ocpp-rpc');
const dialect = require('./dialect');
const { say, options, obey, complain } = require('./lines');
const { ocpp21 } = require('./validators');

const PROTOCOLS = 'HTTP'; // what they know, in the words of both settings
const now = () => new Date().toISOString();

/** Status, headers and body of an HTTP exchange. Rejects when it breaks. */
function exchange(url, how, body = null) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, how, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status, headers } = response;
        resolve({ status, headers, body: Buffer.concat(parts) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

class FileCharger {
  constructor({ url, identity, protocols }) {
    this.identity = identity;
    this.refused = null; // the action whose next order it does not want
    this.avoided = null; // beginning of addresses that it cannot reach
    this.client = new RPCClient({
      endpoint: url,
      identity,
      protocols,
      strictMode: true,
      strictModeValidators: [ocpp21],
      callTimeoutMs: 60_000,
      pingIntervalMs: 0,
      reconnect: false,
    });
    this.client.handle(({ method, params }) => this.answer(method, params));
    complain(this.client, () => this.facts());
  }

  facts() {
    return { identity: this.identity, protocol: this.client.protocol ?? null };
  }

  get is16() {
    return this.client.protocol === 'ocpp1.6';
  }

  // --- commands -------------------------------------------------------------------------------------

  async connect() {
    await this.client.connect();
    return { protocol: this.client.protocol };
  }

  boot() {
    return this.client.call(...dialect.of(this.client.protocol)[0].boot());
  }

  refuse({ action }) {
    this.refused = action;
  }

  avoid({ url }) {
    this.avoided = url;
  }

  // --- what the CSMS asks ---------------------------------------------------------------------------

  answer(action, params) {
    say('call', { ...this.facts(), action, params });
    if (!(action in this.known)) throw createRPCError('NotImplemented', action);
    if (this.refused === action) {
      this.refused = null;
      if (action === 'UpdateFirmware' && this.is16) throw createRPCError('InternalError', 'as told');
      return { status: 'Rejected' };
    }
    return this.known[action](params);
  }

  get known() {
    return {
      GetConfiguration: () => ({
        configurationKey: [
          { key: 'SupportedFileTransferProtocols', readonly: true, value: PROTOCOLS },
        ],
      }),
      GetVariables: ({ getVariableData }) => ({
        getVariableResult: getVariableData.map(({ component, variable }) => ({
          attributeStatus: 'Accepted',
          attributeValue: PROTOCOLS,
          component,
          variable,
        })),
      }),
      UpdateFirmware: (order) => this.begin(() => this.update(order), this.is16 ? {} : { status: 'Accepted' }),
      SignedUpdateFirmware: (order) => this.begin(() => this.update(order), { status: 'Accepted' }),
      GetDiagnostics: ({ location }) => this.sendLog(location, null),
      GetLog: ({ log, requestId }) => this.sendLog(log.remoteLocation, requestId),
    };
  }

  /** Answer first, then work. */
  begin(work, answer) {
    setImmediate(() => work().catch((error) => say('crashed', { ...this.facts(), text: error.stack })));
    return answer;
  }

  // --- firmware -------------------------------------------------------------------------------------

  async update({ requestId = null, firmware = null, location = firmware?.location }) {
    const signed = firmware?.signature !== undefined;
    const tell = (status) => this.tellUpdate(status, requestId);
    await tell('Downloading');
    if (!(await this.download(location))) return tell('DownloadFailed');
    await tell('Downloaded');
    if (signed) await tell('SignatureVerified');
    await tell('Installing');
    return tell('Installed');
  }

  async download(url) {
    if (this.avoided !== null && url.startsWith(this.avoided)) return false;
    const { status, headers, body } = await exchange(url, { method: 'GET' });
    const sha256 = createHash('sha256').update(body).digest('hex');
    say('downloaded', { ...this.facts(), url, status, headers, sha256 });
    return status === 200;
  }

  tellUpdate(status, requestId) {
    const action =
      this.is16 && requestId !== null ? 'SignedFirmwareStatusNotification' : 'FirmwareStatusNotification';
    return this.tell(action, requestId === null ? { status } : { status, requestId });
  }

  async tell(action, params) {
    await this.client.call(action, params);
    say('told', { ...this.facts(), action, params });
  }

  // --- logs -----------------------------------------------------------------------------------------

  sendLog(url, requestId) {
    const name = `${this.identity}-${requestId ?? 'diagnostics'}.log`;
    const answer = requestId === null ? { fileName: name } : { status: 'Accepted', filename: name };
    return this.begin(() => this.upload(url, name, requestId), answer);
  }

  async upload(url, name, requestId) {
    const tell = (status) =>
      requestId === null
        ? this.tell('DiagnosticsStatusNotification', { status })
        : this.tell('LogStatusNotification', { status, requestId });
    const content = Buffer.from(`${name} ${now()}\n`.repeat(500));
    const place = url.endsWith('/') ? url + encodeURIComponent(name) : url;
    await tell('Uploading');
    const how = { method: 'PUT', headers: { 'Content-Length': content.length } };
    const { status } = await exchange(place, how, content);
    const sha256 = createHash('sha256').update(content).digest('hex');
    say('uploaded', { ...this.facts(), url, name, status, sha256 });
    return tell(status < 300 ? 'Uploaded' : requestId === null ? 'UploadFailed' : 'UploadFailure');
  }
}

const chargers = new Map();
const names = ['connect', 'boot', 'refuse', 'avoid'];

function command(name) {
  return ({ identity, ...given }) => chargers.get(identity)[name](given);
}

options({});
say('started');
obey({
  add: (given) => {
    chargers.set(given.identity, new FileCharger(given));
  },
  ...Object.fromEntries(names.map((name) => [name, command(name)])),
});
