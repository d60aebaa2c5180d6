// SPDX-License-Identifier: Apache-2.0
// Runs steps through node tedious: JSON on standard input, JSON on standard output. Started by matrix.py.
// It knows one more kind of step than the others: {"prepare": sql, "params", "runs"}.
'use strict';

const fs = require('fs');
const path = require('path');
const { Connection, Request, TYPES } = require(path.join(process.argv[2], 'node_modules', 'tedious'));

const SIZED = {
  IntN: { 1: 'tinyint', 2: 'smallint', 4: 'int', 8: 'bigint' },
  FloatN: { 4: 'real', 8: 'float' },
  DateTimeN: { 4: 'smalldatetime', 8: 'datetime' },
  MoneyN: { 4: 'smallmoney', 8: 'money' },
};
const NAMES = {
  Bit: 'bit',
  BitN: 'bit',
  TinyInt: 'tinyint',
  SmallInt: 'smallint',
  Int: 'int',
  BigInt: 'bigint',
  Real: 'real',
  Float: 'float',
  DateTime: 'datetime',
  SmallDateTime: 'smalldatetime',
  Money: 'money',
  SmallMoney: 'smallmoney',
  UniqueIdentifier: 'uniqueidentifier',
  Date: 'date',
  Xml: 'xml',
  Variant: 'sql_variant',
};
const TEXTS = {
  NVarChar: ['nvarchar', 2],
  VarChar: ['varchar', 1],
  VarBinary: ['varbinary', 1],
  NChar: ['nchar', 2],
  Char: ['char', 1],
  Binary: ['binary', 1],
};
const SCALED = { Time: 'time', DateTime2: 'datetime2', DateTimeOffset: 'datetimeoffset' };
const DECIMALS = new Set(['NumericN', 'DecimalN', 'Numeric', 'Decimal']);

function columnType(column) {
  const name = column.type.name;
  if (NAMES[name]) return NAMES[name];
  if (SIZED[name]) return SIZED[name][column.dataLength];
  if (DECIMALS.has(name)) return `numeric(${column.precision},${column.scale})`;
  if (SCALED[name]) return `${SCALED[name]}(${column.scale})`;
  const [text, unit] = TEXTS[name];
  return column.dataLength === 65535 ? `${text}(max)` : `${text}(${column.dataLength / unit})`;
}

function shown(value, type) {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (Buffer.isBuffer(value)) return value.toString('hex');
  if (value instanceof Date) {
    const iso = value.toISOString().slice(0, 23);
    if (type === 'date') return iso.slice(0, 10);
    return type.startsWith('time') ? iso.slice(11) : iso;
  }
  if (type === 'uniqueidentifier') return value.toUpperCase();
  return String(value);
}

const PARAMS = {
  int: [TYPES.Int, Number],
  bigint: [TYPES.BigInt, String],
  float: [TYPES.Float, Number],
  bit: [TYPES.Bit, v => v === '1'],
  nvarchar: [TYPES.NVarChar, String],
  varbinary: [TYPES.VarBinary, v => Buffer.from(v, 'hex')],
  numeric: [TYPES.Decimal, Number, { precision: 18, scale: 4 }],
  datetime2: [TYPES.DateTime2, v => new Date(v + 'Z')],
  uniqueidentifier: [TYPES.UniqueIdentifier, String],
  date: [TYPES.Date, v => new Date(v + 'T00:00:00Z')],
};

function connect(work) {
  const options = {
    port: work.port,
    encrypt: work.encrypt,
    trustServerCertificate: !work.ca,
    database: work.database || undefined,
    useUTC: true,
    requestTimeout: 60000,
    connectTimeout: 30000,
    rowCollectionOnRequestCompletion: false,
    cryptoCredentialsDetails: {},
    serverName: 'localhost',
  };
  if (work.encrypt && work.ca) options.cryptoCredentialsDetails = { ca: fs.readFileSync(work.ca) };
  const connection = new Connection({
    server: 'localhost',
    authentication: { type: 'default', options: { userName: work.user, password: work.password } },
    options,
  });
  return new Promise((resolve, reject) => {
    connection.on('connect', error => (error ? reject(error) : resolve(connection)));
    connection.connect();
  });
}

function note(list) {
  return token =>
    list.push({
      number: token.number,
      class: token.class,
      state: token.state,
      line: token.lineNumber,
      text: token.message,
    });
}

// Cancels when the file says that the server works on the statement.
function cancelWhen(connection, running) {
  const end = Date.now() + 30000;
  const timer = setInterval(() => {
    if (!fs.existsSync(running) && Date.now() < end) return;
    clearInterval(timer);
    connection.cancel();
  }, 10);
}

function runRequest(connection, step, running) {
  const result = { sets: [], counts: [], errors: [], messages: [] };
  const onInfo = note(result.messages);
  const onError = note(result.errors);
  connection.on('infoMessage', onInfo);
  connection.on('errorMessage', onError);
  return new Promise(resolve => {
    let sql = step.sql || step.cancel;
    const request = new Request(sql, error => {
      connection.off('infoMessage', onInfo);
      connection.off('errorMessage', onError);
      if (step.cancel) resolve({ cancelled: Boolean(error && error.code === 'ECANCEL') });
      else resolve(result);
    });
    request.on('columnMetadata', columns =>
      result.sets.push({ columns: columns.map(c => [c.colName, columnType(c)]), rows: [] }),
    );
    request.on('row', columns =>
      result.sets.at(-1).rows.push(columns.map(c => shown(c.value, columnType(c.metadata)))),
    );
    for (const event of ['done', 'doneInProc'])
      request.on(event, count => {
        if (count !== undefined) result.counts.push(count);
      });
    if (step.params) {
      for (const { name, type, value } of step.params) {
        request.sqlTextOrProcedure = request.sqlTextOrProcedure.replaceAll(`{${name}}`, `@${name}`);
        const [tedious, make, more] = PARAMS[type];
        request.addParameter(name, tedious, value === null ? null : make(value), more);
      }
      connection.execSql(request);
    } else {
      connection.execSqlBatch(request);
    }
    if (step.cancel) cancelWhen(connection, running);
  });
}

// sp_prepare, sp_execute for each set of values, sp_unprepare: the first column of the first row of each run.
function runPrepared(connection, step) {
  const runs = [...step.runs];
  const values = [];
  return new Promise((resolve, reject) => {
    const request = new Request(step.prepare, error => {
      if (error) reject(error);
      else if (runs.length) connection.execute(request, runs.shift());
      else connection.unprepare(request);
    });
    for (const { name, type } of step.params) request.addParameter(name, PARAMS[type][0]);
    request.on('row', columns => values.push(shown(columns[0].value, columnType(columns[0].metadata))));
    request.on('prepared', () => connection.execute(request, runs.shift()));
    request.on('requestCompleted', () => {
      if (!runs.length && values.length === step.runs.length) setImmediate(() => resolve({ values }));
    });
    connection.prepare(request);
  });
}

function runTransaction(connection, what) {
  const call = { begin: 'beginTransaction', commit: 'commitTransaction', rollback: 'rollbackTransaction' }[what];
  return new Promise((resolve, reject) => connection[call](error => (error ? reject(error) : resolve({}))));
}

async function main() {
  const work = JSON.parse(fs.readFileSync(0, 'utf8'));
  const connection = await connect(work);
  const results = [];
  for (const step of work.steps) {
    if (step.prepare) results.push(await runPrepared(connection, step));
    else
      results.push(
        await (step.transaction ? runTransaction(connection, step.transaction) : runRequest(connection, step, work.running)),
      );
  }
  connection.close();
  process.stdout.write(JSON.stringify(results));
}

main().catch(error => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
