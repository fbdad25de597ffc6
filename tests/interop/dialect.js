'use strict';
// What a charger says and answers, as payloads: 1.6 on one side, 2.0.1 and 2.1 on the other.

const { randomUUID } = require('node:crypto');

const now = () => new Date().toISOString();
const SIGNED = 'OCMF|{"FV":"1.0","PG":"T1","RD":[{"RV":1.10,"RU":"kWh"}]}|{"SD":"3045/+=="}';

const v16 = {
  boot: () => ['BootNotification', { chargePointVendor: 'ocpp-rpc', chargePointModel: 'Strict' }],
  status: (connector, status) => [
    'StatusNotification',
    { connectorId: connector, errorCode: 'NoError', status, timestamp: now() },
  ],
  authorize: (tag) => ['Authorize', { idTag: tag }],
  start: (session) => [
    'StartTransaction',
    { connectorId: session.connector, idTag: session.tag, meterStart: session.register, timestamp: now() },
  ],
  started: (session, result) => {
    session.id = result.transactionId;
  },
  meter: (session) => [
    'MeterValues',
    {
      connectorId: session.connector,
      transactionId: session.id,
      meterValue: [
        {
          timestamp: now(),
          sampledValue: [
            { value: String(session.register), measurand: 'Energy.Active.Import.Register', unit: 'Wh' },
            { value: SIGNED, format: 'SignedData' },
          ],
        },
      ],
    },
  ],
  stop: (session, reason) => [
    'StopTransaction',
    { transactionId: session.id, meterStop: session.register, timestamp: now(), idTag: session.tag, reason },
  ],
  info: (result) => result.idTagInfo?.status ?? null,
};

function event(session, kind, trigger, more = {}) {
  const sample = {
    value: session.register,
    measurand: 'Energy.Active.Import.Register',
    unitOfMeasure: { unit: 'Wh' },
    signedMeterValue: {
      signedMeterData: Buffer.from(SIGNED).toString('base64'),
      signingMethod: 'ECDSA-secp256r1-SHA256',
      encodingMethod: 'OCMF',
      publicKey: '',
    },
  };
  const { info, ...rest } = more;
  return [
    'TransactionEvent',
    {
      eventType: kind,
      timestamp: now(),
      triggerReason: trigger,
      seqNo: session.seqNo++,
      transactionInfo: { transactionId: session.id, ...info },
      meterValue: [{ timestamp: now(), sampledValue: [sample] }],
      ...rest,
    },
  ];
}

const token = (tag) => ({ idToken: tag, type: 'ISO14443' });

const v2x = {
  boot: () => [
    'BootNotification',
    { reason: 'PowerUp', chargingStation: { vendorName: 'ocpp-rpc', model: 'Strict' } },
  ],
  status: (connector, status) => [
    'StatusNotification',
    { timestamp: now(), connectorStatus: status, evseId: connector, connectorId: 1 },
  ],
  authorize: (tag) => ['Authorize', { idToken: token(tag) }],
  start: (session) => {
    Object.assign(session, { id: randomUUID(), seqNo: 0 });
    const evse = { id: session.connector, connectorId: 1 };
    return event(session, 'Started', 'Authorized', { evse, idToken: token(session.tag) });
  },
  started: () => undefined,
  meter: (session) => event(session, 'Updated', 'MeterValuePeriodic'),
  stop: (session, reason) => event(session, 'Ended', 'StopAuthorized', { info: { stoppedReason: reason } }),
  info: (result) => result.idTokenInfo?.status ?? null,
};

const accepted = () => ({ status: 'Accepted' });

/** Answers to what a CSMS asks; the actions that start and stop are the charger's own business. */
const answers16 = {
  ChangeAvailability: accepted,
  ChangeConfiguration: accepted,
  ClearCache: accepted,
  DataTransfer: ({ data }) => ({ status: 'Accepted', ...(data === undefined ? {} : { data }) }),
  GetConfiguration: ({ key = [] }) => ({
    configurationKey: [{ key: 'HeartbeatInterval', readonly: false, value: '300' }],
    unknownKey: key.filter((name) => name !== 'HeartbeatInterval'),
  }),
  GetLocalListVersion: () => ({ listVersion: 7 }),
  Reset: accepted,
  SendLocalList: accepted,
  SetChargingProfile: accepted,
  TriggerMessage: accepted,
  UnlockConnector: () => ({ status: 'Unlocked' }),
};

const answers2x = {
  ChangeAvailability: accepted,
  ClearCache: accepted,
  DataTransfer: answers16.DataTransfer,
  GetBaseReport: accepted,
  GetLocalListVersion: () => ({ versionNumber: 7 }),
  GetTransactionStatus: () => ({ messagesInQueue: false }),
  GetVariables: ({ getVariableData }) => ({
    getVariableResult: getVariableData.map(({ component, variable }) => ({
      attributeStatus: 'Accepted',
      attributeValue: '300',
      component,
      variable,
    })),
  }),
  Reset: accepted,
  SendLocalList: accepted,
  SetChargingProfile: accepted,
  SetVariables: ({ setVariableData }) => ({
    setVariableResult: setVariableData.map(({ component, variable }) => ({
      attributeStatus: 'Accepted',
      component,
      variable,
    })),
  }),
  TriggerMessage: accepted,
  UnlockConnector: () => ({ status: 'Unlocked' }),
};

/** [dialect, answers] of a subprotocol. */
function of(protocol) {
  return protocol === 'ocpp1.6' ? [v16, answers16] : [v2x, answers2x];
}

module.exports = { of };
