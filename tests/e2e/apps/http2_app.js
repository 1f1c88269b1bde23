// An HTTP/2 app server for tests. Arguments: port, name, h2c | tls | tls-http1, [certificate, key].
// Answers say who answered (X-Backend), over which version, and on which of its connections (X-Connection).
const fs = require('fs');
const http2 = require('http2');
const https = require('https');

const [port, name, mode, cert, key] = process.argv.slice(2);
const settings = {enableConnectProtocol: true, maxConcurrentStreams: 50};
let connections = 0;

function about(session, headers) {
  return {
    'x-backend': name,
    'x-connection': String(session ? session.number : 0),
    'x-connections': String(connections),
    'x-version': session ? '2.0' : '1.1',
    'x-session': headers['remora-session'] || '',
    'x-method': headers[':method'] || '',
  };
}

function serve(stream, headers) {
  const path = headers[':path'];
  if (headers[':protocol'] === 'websocket') {
    stream.respond({':status': 200});
    stream.pipe(stream);
    return;
  }
  if (path === '/goaway') stream.session.goaway(0, stream.id);
  if (path === '/refuse' && stream.session.refused === undefined) {
    stream.session.refused = true;
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    return;
  }
  const answer = () => {
    if (stream.destroyed) return;
    if (path === '/trailers') {
      stream.respond({':status': 200, trailer: 'x-sum', ...about(stream.session, headers)}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'x-sum': '7'}));
      stream.end('body');
      return;
    }
    stream.respond({':status': 200, ...about(stream.session, headers)});
    if (path === '/echo')
      stream.pipe(stream);
    else
      stream.end(headers[':method'] === 'HEAD' ? undefined : path);
  };
  if (path.startsWith('/slow')) setTimeout(answer, 300);
  else answer();
}

function serveHttp1(req, res) {
  if (req.httpVersion !== '1.1') return;
  for (const [n, v] of Object.entries(about(null, req.headers))) res.setHeader(n, v);
  res.end(req.url);
}

let server;
if (mode === 'h2c') {
  server = http2.createServer({settings});
} else {
  const pair = {cert: fs.readFileSync(cert), key: fs.readFileSync(key)};
  server = mode === 'tls-http1' ? https.createServer(pair)
                                : http2.createSecureServer({settings, allowHTTP1: true, ...pair});
  server.on('request', serveHttp1);
  server.removeAllListeners('stream');  // of Node's HTTP/1 API for HTTP/2
}
server.on('session', (session) => {
  session.number = ++connections;
  session.on('error', () => {});
});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  serve(stream, headers);
});
server.on('sessionError', () => {});
server.listen(Number(port), '127.0.0.1');
