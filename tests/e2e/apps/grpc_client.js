// The same scenarios as grpc_client.py, with @grpc/grpc-js. Arguments: port, scenario.
const grpc = require('@grpc/grpc-js');

const [port, scenario] = process.argv.slice(2);
const asIs = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`, requestStream, responseStream, requestSerialize: asIs, requestDeserialize: asIs,
  responseSerialize: asIs, responseDeserialize: asIs,
});
const Echo = grpc.makeGenericClientConstructor({
  unary: method('Unary', false, false),
  serverStream: method('ServerStream', false, true),
  clientStream: method('ClientStream', true, false),
  bidi: method('Bidi', true, true),
  nowhere: method('Nowhere', false, false),
}, 'test.Echo');
const echo = new Echo(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {'grpc.enable_retries': 0, 'grpc.enable_http_proxy': 0});
const limit = 20;  // no call of a test takes so long

const say = (...words) => console.log(...words);
const within = (seconds) => ({deadline: Date.now() + seconds * 1000});
const bytes = (text) => Buffer.from(text);
const nobody = new grpc.Metadata(), ann = new grpc.Metadata();
ann.set('x-user', 'ann');
const trailing = (status) => status.metadata.get('my-result')[0] || 'none';

// What becomes of a call: {text, status}, or rejects with its error.
function unary(text, metadata = nobody, seconds = limit, name = 'unary') {
  return new Promise((resolve, reject) => {
    let message;
    const call = echo[name](bytes(text), metadata, within(seconds), (error, response) => { message = response; });
    call.on('status', (status) => (status.code === 0 ? resolve({text: String(message), status}) : reject(status)));
  });
}
const codeOf = (promise) => promise.then(() => 'OK', (status) => grpc.status[status.code]);

// A stream with its messages, to be awaited one by one.
class Stream {
  constructor(call) {
    this.call = call;
    this.messages = [];
    this.waiting = [];
    call.on('data', (message) => {
      this.messages.push(String(message));
      if (this.waiting.length) this.waiting.shift().resolve(this.messages.shift());
    });
    call.on('error', () => {});
    call.on('status', (status) => {
      this.status = status;
      for (const w of this.waiting) w.reject(status);
    });
  }
  next() {
    if (this.messages.length) return Promise.resolve(this.messages.shift());
    if (this.status) return Promise.reject(this.status);
    return new Promise((resolve, reject) => this.waiting.push({resolve, reject}));
  }
  async rest() {
    let n = 0;
    try {
      for (;; ++n) await this.next();
    } catch (status) {
      if (status.code !== 0) throw status;
    }
    return n;
  }
}
const serverStream = (text, metadata = nobody, seconds = limit) =>
  new Stream(echo.serverStream(bytes(text), metadata, within(seconds)));
const bidi = (metadata = nobody) => new Stream(echo.bidi(metadata, within(limit)));
function clientStream(metadata = nobody) {
  const out = {};
  out.result = new Promise((resolve, reject) => {
    let message;
    out.call = echo.clientStream(metadata, within(limit), (error, response) => { message = response; });
    out.call.on('status', (status) => (status.code === 0 ? resolve({text: String(message), status}) : reject(status)));
  });
  out.begun = new Promise((resolve) => out.call.on('metadata', resolve));
  return out;
}

const scenarios = {
  async kinds() {
    const one = await unary('hello');
    say('unary', one.text, trailing(one.status));
    const down = serverStream('hello');
    say('server_stream', await down.rest(), trailing(down.status));
    const up = clientStream();
    for (const word of ['a', 'b', 'c']) up.call.write(bytes(word));
    up.call.end();
    const result = await up.result;
    say('client_stream', result.text, trailing(result.status));
    const both = bidi();
    for (const word of ['one', 'two', 'three']) {
      both.call.write(bytes(word));
      say('bidi', await both.next());
    }
    both.call.end();
    say('bidi ended', await both.rest(), trailing(both.status));
    const big = 'x'.repeat(1000000);
    say('big', (await unary(big)).text.length > big.length ? 'True' : 'False');
  },
  async statuses() {
    for (const status of ['NOT_FOUND', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED'])
      await unary(`fail ${status}`).catch((s) => say(status, grpc.status[s.code], s.details, trailing(s)));
    say('nowhere', await codeOf(unary('', nobody, limit, 'nowhere')));
  },
  async elsewhere() {
    for (const backend of ['a', 'b']) say(backend, await codeOf(unary(`elsewhere ${backend}`)));
  },
  async deadline() {
    say('unary', await codeOf(unary('slow', nobody, 0.5)));
    const stream = serverStream('hang', nobody, 0.5);
    say('stream began', await stream.next());
    say('stream', await codeOf(stream.next()));
    const {status} = await unary('quick', nobody, 10);
    const left = Number(status.metadata.get('deadline-left')[0]);
    say('left', left > 0 && left < 12 ? 'some' : left);
  },
  async local() {
    await unary('hello').catch((s) => say(grpc.status[s.code], s.details));
  },
  async death() {
    say('home', (await unary('hello', ann)).text);
    const waiting = codeOf(unary('slow', ann));
    const down = serverStream('hang', ann);
    await down.next();
    const up = clientStream(ann);
    up.call.write(bytes('a'));
    await up.begun;
    const both = bidi(ann);
    both.call.write(bytes('a'));
    await both.next();
    const ended = [codeOf(down.next()), codeOf(up.result), codeOf(both.next())];
    say('open');
    say('unary', await waiting);
    say('server_stream', await ended[0]);
    say('client_stream', await ended[1]);
    say('bidi', await ended[2]);
    for (let i = 0; i < 3; ++i) say('next', (await unary('hello', ann)).text);
  },
};

scenarios[scenario]().then(() => {
  say('end');
  process.exit(0);
});
