// A store for express-session, kept by call: the session API of remora holds the sessions, this process only copies.
//
//   const session = require('express-session');
//   const RemoraStore = require('./express-session-store')(session);
//   const store = new RemoraStore({ socketPath: '/run/remora/sessions' });
//   app.use(store.announced(), session({ store, secret, resave: false, saveUninitialized: false }));
//
// remora needs `affinity: cookie` and `session: {state: on}` in the app's pool and `session_api:
// unix:/run/remora/sessions`. A copy is used while its epoch is the request's; after a move the state is asked for. A
// save that comes too late (the session is another server's by now) is dropped. Of remora's session it keeps one
// session of express: a cookie of another one, signed or not, finds nothing.
//
// At login, and whenever rights change, regenerate express' session and renew remora's: both get a new id, so that
// whoever knew (or planted) the former ones is not logged in with them:
//
//   req.session.regenerate((error) => {
//     req.session.user = ...;
//     req.renewRemoraSession((error) => res.redirect('/')); // saves first: express-session would after the head
//   });
'use strict';

const { AsyncLocalStorage } = require('async_hooks');
const http = require('http');

const announcedAs = /^"([0-9a-f]{32})";epoch=(\d+);reason=(\w+)/;

module.exports = function (session) {
  // The options are those of http.request (socketPath, or host and port), and `token` for a TCP listener.
  return class RemoraStore extends session.Store {
    constructor({ token, timeout = 2000, most = 100000, ...address } = {}) {
      super();
      this.options = { timeout, agent: new http.Agent({ keepAlive: true }), ...address };
      this.fields = token ? { Authorization: 'Bearer ' + token } : {};
      this.most = most;
      this.copies = new Map(); // remora's session -> {epoch, text, written}; the last used at the end
      this.requests = new AsyncLocalStorage();
    }

    // express-session does not tell a store which request it asks for: this middleware does, and goes before it.
    announced() {
      return (req, res, next) => {
        const field = req.get('Remora-Session') || '';
        const said = announcedAs.exec(field);
        const request = said && { field, name: said[1], epoch: Number(said[2]), reason: said[3] };
        // What is kept under the former id when the head is sent moves to the new one.
        req.renewRemoraSession = (done) => {
          req.session.save((error) => {
            if (!error && request) res.set('Remora-Session-Control', 'renew');
            done(error);
          });
        };
        this.requests.run(request, next);
      };
    }

    get(sid, done) {
      const request = this.requests.getStore();
      if (!request) return process.nextTick(done, null, null); // not through remora: nothing that could be kept
      const known = this.copies.get(request.name);
      if (known && known.epoch === request.epoch) {
        this.keep(request, known.text, known.written);
        return process.nextTick(done, null, read(known.text, sid));
      }
      if (request.reason === 'new' || request.reason === 'expired') return process.nextTick(done, null, null);
      this.call('GET', request, {}, '', (error, status, body) => {
        // An empty session would log the user out.
        if (error || (status !== 200 && status !== 404)) return done(error || unavailable(status));
        const text = status === 200 ? body : '';
        this.keep(request, text, 0);
        done(null, read(text, sid));
      });
    }

    set(sid, kept, done = () => {}) {
      const text = JSON.stringify({ sid, session: kept });
      const left = kept.cookie && kept.cookie.originalMaxAge;
      this.write('PUT', text, left ? { 'Remora-TTL': Math.max(1, Math.ceil(left / 1000)) } : {}, done);
    }

    // A session without an age lives as long as remora's, which each request prolongs.
    touch(sid, kept, done = () => {}) {
      const age = kept.cookie && kept.cookie.originalMaxAge;
      const request = this.requests.getStore();
      const known = request && this.copies.get(request.name);
      if (!age || (known && Date.now() - known.written < age / 10)) return process.nextTick(done, null);
      this.set(sid, kept, done);
    }

    destroy(sid, done = () => {}) {
      this.write('DELETE', '', {}, done);
    }

    write(method, text, fields, done) {
      const request = this.requests.getStore();
      if (!request) return process.nextTick(done, null);
      this.call(method, request, { 'Remora-Session': request.field, ...fields }, text, (error, status) => {
        if (status === 409) this.copies.delete(request.name); // another server's by now
        else if (status === 201 || status === 204 || status === 404) this.keep(request, text, Date.now());
        else return done(error || unavailable(status));
        done(null);
      });
    }

    call(method, request, fields, body, done) {
      let answered = false;
      const once = (...what) => {
        if (!answered) done(...what);
        answered = true;
      };
      const headers = { ...this.fields, ...fields, 'Content-Length': Buffer.byteLength(body) };
      const call = http.request({ ...this.options, method, path: '/v1/sessions/' + request.name, headers }, (res) => {
        const parts = [];
        res.on('data', (part) => parts.push(part));
        res.on('error', (error) => once(unavailable(error.message)));
        res.on('end', () => once(null, res.statusCode, Buffer.concat(parts).toString()));
      });
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      call.on('error', (error) => once(unavailable(error.message)));
      call.end(body);
    }

    keep(request, text, written) {
      this.copies.delete(request.name);
      this.copies.set(request.name, { epoch: request.epoch, text, written });
      if (this.copies.size > this.most) this.copies.delete(this.copies.keys().next().value);
    }
  };
};

function read(text, sid) {
  const kept = text === '' ? {} : JSON.parse(text);
  return kept.sid === sid ? kept.session : null;
}

function unavailable(why) {
  const error = new Error('the session store cannot be asked: ' + why);
  error.status = 503;
  return error;
}
