// An app server for tests with real clients. Arguments: port, name, http1 | h2c, [requests per connection].
// Both versions serve the same targets:
//   /length   the length and SHA-1 of the request's body
//   /echo     the request's body, as it comes
//   /trailers a trailer X-Sum with the value of the request's
//   /slow/N   the head at once, then N pieces 100 ms apart, then the name
//   /bytes/N  N bytes
//   /push     whether it could push a response
//   /page     an HTML page with 100 scripts (/script/N) that note who served them
//   others    the name
// A WebSocket gets what it sends; to "who": name, version of HTTP, and Via.
const crypto = require('crypto');
const http = require('http');
const http2 = require('http2');

const [port, name, mode, limit] = process.argv.slice(2);
const pieceInterval = 100;

function sendSlowly(res, pieces) {
  let sent = 0;
  res.writeHead(200);
  res.flushHeaders?.();
  const timer = setInterval(() => {
    if (sent < pieces) return res.write(String(sent++));
    clearInterval(timer);
    res.end(name);
  }, pieceInterval);
  res.on('close', () => clearInterval(timer));
}

function digest(req, res) {
  const sha = crypto.createHash('sha1');
  let bytes = 0;
  req.on('data', (part) => { sha.update(part); bytes += part.length; });
  req.on('end', () => res.end(`${bytes} ${sha.digest('hex')}`));
}

function push(res) {
  if (!res.stream) return 'not http2';
  try {
    res.stream.pushStream({':path': '/pushed'}, (error, pushed) => {
      if (!error) pushed.respond({':status': 200}, {endStream: true});
    });
    return 'pushed';
  } catch (error) {
    return error.code;
  }
}

function page() {
  let scripts = '';
  for (let i = 0; i < 100; ++i) scripts += `<script async src="/script/${i}"></script>\n`;
  return `<!doctype html><title>${name}</title><script>served = []</script>\n${scripts}`;
}

function serve(req, res) {
  const [, what, count] = req.url.split('/');
  req.on('error', () => {});
  res.on('error', () => {});
  if (what === 'length') return digest(req, res);
  if (what === 'echo') return req.pipe(res);
  if (what === 'slow') return sendSlowly(res, Number(count));
  if (what === 'bytes') return res.end(Buffer.alloc(Number(count), 'x'));
  if (what === 'push') return res.end(push(res));
  if (what === 'script') res.setHeader('content-type', 'text/javascript');
  if (what === 'script') return res.end(`served.push("${name}")`);
  if (what === 'page') res.setHeader('content-type', 'text/html');
  if (what === 'page') return res.end(page());
  if (what !== 'trailers') return res.end(name);
  req.resume();
  req.on('end', () => {
    res.setHeader('trailer', 'x-sum');
    res.write('body');
    res.addTrailers({'x-sum': req.trailers['x-sum'] || 'none'});
    res.end();
  });
}

// WebSocket (RFC 6455) ---------------------------------------------------------------------------------

const opcode = {text: 1, close: 8, ping: 9, pong: 10};

function frame(type, payload) {
  const head = [0x80 | type];
  if (payload.length < 126) head.push(payload.length);
  else if (payload.length < 65536) head.push(126, payload.length >> 8, payload.length & 255);
  else throw new Error('too long for this app');
  return Buffer.concat([Buffer.from(head), payload]);
}

// The first frame of `bytes`: its type, its payload, and its length with the head; null: not complete.
function parse(bytes) {
  if (bytes.length < 6) return null;
  let length = bytes[1] & 127, at = 2;
  if (length === 126) { length = bytes.readUInt16BE(2); at = 4; }
  const whole = at + 4 + length;
  if (bytes.length < whole) return null;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, whole)).map((b, i) => b ^ mask[i & 3]);
  return {type: bytes[0] & 15, payload, whole};
}

function talk(input, output, about) {
  let bytes = Buffer.alloc(0);
  input.on('error', () => {});
  output.on('error', () => {});
  input.on('data', (part) => {
    bytes = Buffer.concat([bytes, part]);
    for (let f = parse(bytes); f; f = parse(bytes)) {
      bytes = bytes.subarray(f.whole);
      if (f.type === opcode.close) return output.end(frame(opcode.close, f.payload));
      if (f.type === opcode.ping) output.write(frame(opcode.pong, f.payload));
      else output.write(frame(f.type, String(f.payload) === 'who' ? Buffer.from(about) : f.payload));
    }
  });
  input.on('end', () => output.end());
}

function upgraded(req, socket) {
  const key = req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = crypto.createHash('sha1').update(key).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
               `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  talk(socket, socket, `${name} 1.1 ${req.headers.via}`);
}

function connected(req, res) {
  res.writeHead(200);
  talk(res.stream, res.stream, `${name} 2.0 ${req.headers.via}`);
}

let server;
if (mode === 'h2c') {
  server = http2.createServer({settings: {enableConnectProtocol: true, maxConcurrentStreams: 50}});
  server.on('session', (session) => session.on('error', () => {}));
  server.on('sessionError', () => {});
  server.on('connect', connected);
} else {
  server = http.createServer({maxHeaderSize: 65536});  // nghttp --continuation
  server.maxRequestsPerSocket = Number(limit || 0);
  server.on('upgrade', upgraded);
}
server.on('request', serve);
server.listen({port: Number(port), host: '127.0.0.1', backlog: 2048});
