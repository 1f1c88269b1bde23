// A store for express-session, kept by call: the session API of remora holds the sessions, this process only copies.
//
//   const session = require('express-session');
//   const RemoraStore = require('./express-session-store')(session);
//   const store = new RemoraStore({ socketPath: '/run/remora/sessions' });
//   app.use(store.announced(), session({ store, secret, resave: false, saveUninitialized: false }));
//
// remora needs `affinity: cookie` and `session: {state: on}` in the app's pool and `session_api:
// unix:/run/remora/sessions`. A copy is used while its epoch is the request's; after a move the state is asked for.
// (Several processes behind one address: give `most: 0`, so that each request asks.)
//
// Slow requests bring nothing back: a write names the version that it changes (If-Match), and when another one was
// faster it is done again on what stands then. A session of express that was destroyed or regenerated stays so; two
// requests that changed different values of one both have their way. A save that comes too late (the session is another
// server's by now, or over) is dropped. Of remora's session the last few sessions of express are kept, so that of two
// logins at once neither is lost: a cookie of another one's, signed or not, finds nothing.
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
const { createHash } = require('crypto');
const http = require('http');

const announcedAs = /^"([0-9a-f]{32})";epoch=(\d+);reason=(\w+)/;
const mostSessions = 8; // of express, in one of remora's
const mostGone = 16; // destroyed ones that are remembered,
const goneFor = 3600; // this many seconds when nothing else is kept
const mostRounds = 16;

module.exports = function (session) {
  // The options are those of http.request (socketPath, or host and port), and `token` for a TCP listener.
  return class RemoraStore extends session.Store {
    constructor({ token, timeout = 2000, most = 100000, ...address } = {}) {
      super();
      this.options = { timeout, agent: new http.Agent({ keepAlive: true }), ...address };
      this.fields = token ? { Authorization: 'Bearer ' + token } : {};
      this.most = most;
      this.copies = new Map(); // remora's session -> {epoch, text, etag}; the last used at the end
      this.requests = new AsyncLocalStorage();
    }

    // express-session does not tell a store which request it asks for: this middleware does, and goes before it.
    announced() {
      return (req, res, next) => {
        const field = req.get('Remora-Session') || '';
        const said = announcedAs.exec(field);
        const request = said && { field, name: said[1], epoch: Number(said[2]), reason: said[3], seen: new Map() };
        // What is kept under the former id when the head is sent moves to the new one.
        req.renewRemoraSession = (done) => {
          req.session.save((error) => {
            // Of two logins at once the first took the session along: the other must not look as if it had worked.
            const failed = error || (request && request.late ? unavailable('the session has another id by now') : null);
            if (!failed && request) res.set('Remora-Session-Control', 'renew');
            done(failed);
          });
        };
        this.requests.run(request, next);
      };
    }

    get(sid, done) {
      const request = this.requests.getStore();
      if (!request) return process.nextTick(done, null, null); // not through remora: nothing that could be kept
      this.look(request, false, (error, copy) => {
        if (error) return done(error);
        const found = parse(copy.text).sessions.find((one) => one.sid === sid);
        if (!found || ended(found.session)) return done(null, null);
        request.seen.set(sid, JSON.stringify(found.session));
        done(null, found.session);
      });
    }

    set(sid, session, done = () => {}) {
      const request = this.requests.getStore();
      // As it is now: express-session and the app go on with the object.
      const mine = JSON.stringify(session);
      this.change(request, false, done, (kept) => {
        if (kept.gone.includes(mark(sid))) return false;
        const before = kept.sessions.find((one) => one.sid === sid);
        const base = request.seen.get(sid);
        const merged = before && base !== undefined ? merge(base, mine, before.session) : JSON.parse(mine);
        kept.sessions = kept.sessions.filter((one) => one.sid !== sid && !ended(one.session));
        kept.sessions.push({ sid, session: merged, written: Date.now() });
        kept.sessions.splice(0, kept.sessions.length - mostSessions);
        return true;
      });
    }

    // Only prolongs. A session without an age lives as long as remora's, which each request prolongs.
    touch(sid, session, done = () => {}) {
      const age = session.cookie && session.cookie.originalMaxAge;
      const cookie = JSON.stringify(session.cookie || null);
      if (!age) return process.nextTick(done, null);
      this.change(this.requests.getStore(), false, done, (kept) => {
        const found = kept.sessions.find((one) => one.sid === sid);
        if (!found || Date.now() - (found.written || 0) < age / 10) return false;
        found.session.cookie = JSON.parse(cookie);
        found.written = Date.now();
        return true;
      });
    }

    // What a copy does not know of may stand in the store, so that is asked.
    destroy(sid, done = () => {}) {
      const request = this.requests.getStore();
      const copy = request && this.copies.get(request.name);
      const known = copy && copy.epoch === request.epoch && parse(copy.text).sessions.some((one) => one.sid === sid);
      this.change(request, !known, done, (kept) => {
        const before = kept.sessions.length;
        kept.sessions = kept.sessions.filter((one) => one.sid !== sid);
        if (kept.sessions.length === before) return false;
        kept.gone.push(mark(sid));
        kept.gone.splice(0, kept.gone.length - mostGone);
        return true;
      });
    }

    // `edit` changes what is kept, and says whether it did. Somebody else was faster: once more, on what stands then.
    change(request, anew, done, edit, round = 0) {
      if (!request) return process.nextTick(done, null);
      if (round === mostRounds) return done(unavailable('others keep changing the session'));
      this.look(request, anew, (error, copy) => {
        if (error) return done(error);
        const kept = parse(copy.text);
        if (!edit(kept)) return done(null);
        this.put(request, kept, copy.etag, (failed, status, etag, text) => {
          if (failed) return done(failed);
          if (status === 412) return this.change(request, true, done, edit, round + 1);
          request.late = status === 409; // another server's by now, or over
          if (request.late) this.copies.delete(request.name);
          else if (status === 201 || status === 204) this.keep(request, text, etag);
          else return done(unavailable(status));
          done(null);
        });
      });
    }

    put(request, kept, etag, done) {
      const text = JSON.stringify(kept);
      const ages = kept.sessions.map((one) => (one.session.cookie && one.session.cookie.originalMaxAge) || Infinity);
      const left = ages.length ? Math.max(...ages) / 1000 : goneFor;
      const fields = {
        'Remora-Session': request.field,
        ...(etag ? { 'If-Match': etag } : { 'If-None-Match': '*' }),
        ...(left < Infinity ? { 'Remora-TTL': Math.max(1, Math.ceil(left)) } : {}),
      };
      this.call('PUT', request, fields, text, (error, status, body, newer) => {
        if (error) return done(error);
        if (status !== 413 || kept.sessions.length < 2) return done(null, status, newer, text);
        kept.sessions.shift(); // the one just written needs the room
        this.put(request, kept, etag, done);
      });
    }

    // What is kept, by the copy or by asking.
    look(request, anew, done) {
      const known = this.copies.get(request.name);
      if (!anew && known && known.epoch === request.epoch) {
        this.keep(request, known.text, known.etag);
        return process.nextTick(done, null, known);
      }
      const fresh = request.reason === 'new' || request.reason === 'expired';
      if (!anew && fresh) return process.nextTick(done, null, { text: '', etag: '' });
      this.call('GET', request, {}, '', (error, status, body, etag) => {
        // An empty session would log the user out.
        if (error || (status !== 200 && status !== 404)) return done(error || unavailable(status));
        done(null, this.keep(request, status === 200 ? body : '', status === 200 ? etag : ''));
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
        res.on('end', () => once(null, res.statusCode, Buffer.concat(parts).toString(), res.headers.etag || ''));
      });
      call.on('timeout', () => call.destroy(new Error('no answer in time')));
      call.on('error', (error) => once(unavailable(error.message)));
      call.end(body);
    }

    keep(request, text, etag) {
      const copy = { epoch: request.epoch, text, etag };
      this.copies.delete(request.name);
      this.copies.set(request.name, copy);
      if (this.copies.size > this.most) this.copies.delete(this.copies.keys().next().value);
      return copy;
    }
  };
};

function parse(text) {
  const kept = text === '' ? {} : JSON.parse(text);
  if (kept.sid) return { sessions: [{ sid: kept.sid, session: kept.session }], gone: [] }; // of an older version
  return { sessions: kept.sessions || [], gone: kept.gone || [] };
}

// What this request changed since it looked, in what stands now.
function merge(base, mine, theirs) {
  const from = JSON.parse(base);
  const to = JSON.parse(mine);
  const out = { ...theirs };
  for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (JSON.stringify(from[name]) === JSON.stringify(to[name])) continue;
    if (name in to) out[name] = to[name];
    else delete out[name];
  }
  return out;
}

function ended(session) {
  return Boolean(session.cookie && session.cookie.expires && new Date(session.cookie.expires) <= new Date());
}

function mark(sid) {
  return createHash('sha256').update(sid).digest('base64').slice(0, 12);
}

function unavailable(why) {
  const error = new Error('the session store cannot be asked: ' + why);
  error.status = 503;
  return error;
}
