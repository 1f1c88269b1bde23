// A client of HTTP/2 on Node's own library. Arguments: the server's URL, and what to do:
//   reuse      100 requests at the same time on one connection
//   upload     a body of 10 MiB, which comes back while it is sent
//   websocket  a WebSocket (RFC 8441)
// Prints one line of what came of it.
const crypto = require('crypto');
const http2 = require('http2');

const [url, what] = process.argv.slice(2);
const session = http2.connect(url, {rejectUnauthorized: false, maxSessionMemory: 100});
const settled = new Promise((resolve) => session.once('remoteSettings', resolve));

function ask(headers, body) {
  return new Promise((resolve) => {
    const stream = session.request(headers);
    let text = '', status = 0;
    stream.on('response', (h) => { status = h[':status']; });
    stream.on('data', (part) => { text += part.toString('latin1'); });
    stream.on('error', (error) => resolve({status: `${error.code} ${stream.rstCode}`, text}));
    stream.on('close', () => resolve({status, text}));
    stream.end(body);
  });
}

async function reuse() {
  let pushed = 0;
  session.on('stream', () => ++pushed);
  const all = await Promise.all(Array.from({length: 100}, () => ask({':path': '/bytes/5000'})));
  const good = all.filter((r) => r.status === 200 && r.text.length === 5000).length;
  return `${good} good, ${pushed} pushed`;
}

async function upload() {
  const body = crypto.randomBytes(10 << 20);
  const got = await ask({':path': '/echo', ':method': 'POST'}, body);
  return `${got.status} ${got.text === body.toString('latin1') ? 'the same' : got.text.length}`;
}

async function websocket() {
  await settled;
  if (!session.remoteSettings.enableConnectProtocol) return 'no extended CONNECT';
  const stream = session.request(
      {':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', 'sec-websocket-version': '13'});
  const masked = (text) => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
  return new Promise((resolve) => {
    let status = 0, got = Buffer.alloc(0);
    stream.on('response', (h) => {
      status = h[':status'];
      stream.write(masked('who'));
      stream.write(masked('hello'));
    });
    stream.on('data', (part) => {
      got = Buffer.concat([got, part]);
      const first = got.length > 1 ? 2 + got[1] : 0;
      if (first && got.length >= first + 7) {
        stream.end();
        resolve(`${status} ${got.subarray(2, first)} ${got.subarray(first + 2)}`);
      }
    });
    stream.on('error', (error) => resolve(error.code));
    stream.on('close', () => resolve(`${status} closed`));
  });
}

const timer = setTimeout(() => { console.log('timed out'); process.exit(1); }, 30000);
({reuse, upload, websocket})[what]().then((line) => {
  console.log(line);
  clearTimeout(timer);
  session.close();
});
