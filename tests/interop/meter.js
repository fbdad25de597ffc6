'use strict';
// A Modbus TCP meter on modbus-serial's ServerTCP: a table of registers per unit, filled by commands.
//
//   node meter.js
//
// Listens on a free port of 127.0.0.1. A register nobody filled is answered with exception 2, a unit nobody
// filled as a gateway answers for it: exception 11, or not at all.
//
// events   listening, done, failed
// commands fill, fail, missing, reads, cut, restore

const { ServerTCP } = require('modbus-serial');
const { say, obey } = require('./lines');

const ILLEGAL_ADDRESS = 2;
const NO_ANSWER = 11;
const units = new Map(); // unit -> Map("function/address" -> word)
let failure = null; // the exception that every read is answered with
let silent = false; // units that are not there do not answer at all
let reads = 0;
let port = '0'; // a number 0 would be taken for "the usual one"
let server = null;

class ModbusException extends Error {
  constructor(code) {
    super(`exception ${code}`);
    this.modbusErrorCode = code;
  }
}

function word(kind, address, unit) {
  reads += 1;
  if (failure !== null) throw new ModbusException(failure);
  const table = units.get(unit);
  if (!table && silent) return new Promise(() => {});
  if (!table) throw new ModbusException(NO_ANSWER);
  const value = table.get(`${kind}/${address}`);
  if (value === undefined) throw new ModbusException(ILLEGAL_ADDRESS);
  return value;
}

const registers = {
  getHoldingRegister: (address, unit) => word(3, address, unit),
  getInputRegister: (address, unit) => word(4, address, unit),
};

function listen() {
  return new Promise((resolve) => {
    server = new ServerTCP(registers, { host: '127.0.0.1', port, unitID: 255 });
    server.on('socketError', () => {}); // a peer that breaks off is what a test is about
    server.on('initialized', () => {
      port = String(server._server.address().port);
      resolve();
    });
  });
}

const commands = {
  /** Put words into the table of a unit, from an address on. */
  fill: ({ unit, kind, address, words }) => {
    if (!units.has(unit)) units.set(unit, new Map());
    words.forEach((value, offset) => units.get(unit).set(`${kind}/${address + offset}`, value));
  },
  /** Answer every read with this exception; null ends it. */
  fail: ({ code }) => {
    failure = code;
  },
  /** How a unit that is not there behaves: silent or not. */
  missing: ({ is_silent: isSilent }) => {
    silent = isSilent;
  },
  /** Registers read so far. */
  reads: () => reads,
  /** Be gone: break every connection, refuse new ones. */
  cut: () => new Promise((resolve) => server.close(resolve)),
  /** Be back on the same port. */
  restore: listen,
};

listen().then(() => {
  say('listening', { port: Number(port) });
  obey(commands);
});
