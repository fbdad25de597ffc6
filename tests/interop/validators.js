'use strict';
// Strict mode for OCPP 2.1.
//
// ocpp-rpc 2.2.1 looks a schema up as urn:<Action>.req or .conf, as its 1.6 and 2.0.1 files name them. Its
// 2.1 file says urn:<Action>Request and Response, so as shipped every strict 2.1 CALL fails with
// "Schema ... is missing". These are its own 2.1 schemas under the names it looks for.

const { createValidator } = require('ocpp-rpc');
const schemas = require('ocpp-rpc/lib/schemas/ocpp2_1.json');

function wanted(name) {
  return name.replace(/Request$/, '.req').replace(/Response$/, '.conf');
}

const ocpp21 = createValidator(
  'ocpp2.1',
  schemas.map((schema) => ({ ...schema, $id: wanted(schema.$id) })),
);

module.exports = { ocpp21 };
