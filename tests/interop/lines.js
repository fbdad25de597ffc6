'use strict';
// How a test talks to a peer: one JSON document per line, both ways.
//
// stdout: {"event": name, ...facts}. The first line of a program says where it listens or that it started.
// stdin: {"do": name, "ref": number, ...arguments}, answered by the event "done" (with "result") or
// "failed" (with "code" and "text") that carries the same ref. The program ends when stdin closes.

const readline = require('node:readline');

function say(event, facts = {}) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + '\n');
}

/** Options of the command line, `--name value`; defaults say which there are. */
function options(defaults) {
  const found = { ...defaults };
  const words = process.argv.slice(2);
  while (words.length) {
    const name = words.shift().replace(/^--/, '');
    if (!(name in defaults)) throw Error(`unknown option --${name}`);
    found[name] = words.shift();
  }
  return found;
}

async function obeyLine(commands, line) {
  const { do: name, ref, ...given } = JSON.parse(line);
  try {
    if (!(name in commands)) throw Error(`no such command: ${name}`);
    say('done', { ref, result: (await commands[name](given)) ?? null });
  } catch (error) {
    const code = error.rpcErrorCode ?? error.name;
    say('failed', { ref, code, status: error.code ?? null, text: error.message });
  }
}

function obey(commands) {
  const input = readline.createInterface({ input: process.stdin });
  input.on('line', (line) => obeyLine(commands, line));
  input.on('close', () => process.exit(0));
}

/** What a strict peer has to say against the other side; a test that passes has none of these. */
function complain(client, facts) {
  client.on('strictValidationFailure', ({ messageId, method, params, result, error, outbound, isCall }) => {
    const what = isCall ? params : result;
    const text = error.message;
    say('violation', { ...facts(), id: messageId, action: method, outbound, is_call: isCall, what, text });
  });
  client.on('badMessage', ({ buffer, error }) => {
    say('bad_message', { ...facts(), raw: buffer.toString('utf8'), text: error.message });
  });
}

process.on('unhandledRejection', (error) => {
  say('crashed', { text: error.stack });
  process.exit(1);
});

module.exports = { say, options, obey, complain };
