'use strict';
// What the CSMS answers, per version and action. Tags are Accepted unless `answer.tags` says otherwise.

const tags = new Map();
let lastTransaction = 0;

const now = () => new Date().toISOString();
const statusOf = (tag) => ({ status: tags.get(tag) ?? 'Accepted' });

const common = {
  BootNotification: () => ({ status: 'Accepted', currentTime: now(), interval: 300 }),
  Heartbeat: () => ({ currentTime: now() }),
  StatusNotification: () => ({}),
  MeterValues: () => ({}),
  DataTransfer: () => ({ status: 'Accepted', data: 'understood' }),
  SecurityEventNotification: () => ({}),
  FirmwareStatusNotification: () => ({}),
  LogStatusNotification: () => ({}),
};

const of16 = {
  ...common,
  Authorize: ({ idTag }) => ({ idTagInfo: statusOf(idTag) }),
  StartTransaction: ({ idTag }) => ({ transactionId: ++lastTransaction, idTagInfo: statusOf(idTag) }),
  StopTransaction: ({ idTag }) => (idTag === undefined ? {} : { idTagInfo: statusOf(idTag) }),
  DiagnosticsStatusNotification: () => ({}),
  SignedFirmwareStatusNotification: () => ({}),
};

const of2x = {
  ...common,
  Authorize: ({ idToken }) => ({ idTokenInfo: statusOf(idToken.idToken) }),
  // E01.FR.12: idTokenInfo if, and only if, the event names a token
  TransactionEvent: ({ idToken }) => (idToken ? { idTokenInfo: statusOf(idToken.idToken) } : {}),
  NotifyEvent: () => ({}),
  NotifyReport: () => ({}),
  PublishFirmwareStatusNotification: () => ({}),
};

const { createRPCError } = require('ocpp-rpc');

/** The payload of the answer. Throws an RPC error for an action this desk does not know. */
function answer(identity, protocol, action, params) {
  const known = (protocol === 'ocpp1.6' ? of16 : of2x)[action];
  if (!known) throw createRPCError('NotImplemented', action);
  return known(params);
}

answer.tags = tags;

module.exports = { answer };
