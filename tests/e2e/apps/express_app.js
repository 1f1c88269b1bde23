// Keeps what a user says in its session: arguments NAME PORT EXAMPLES [SOCKET]. With SOCKET it is a session of
// express-session, kept by config/examples/express-session-store.js; else config/examples/express-handoff.js.
'use strict';
const [name, port, examples, socketPath] = process.argv.slice(2);
const express = require('express');
const app = express();
let waiting = 0;
app.get('/waiting', (req, res) => res.send(String(waiting)));

if (socketPath) {
  const session = require('express-session');
  const RemoraStore = require(examples + '/express-session-store')(session);
  const store = new RemoraStore({ socketPath });
  app.use(store.announced());
  app.use(session({ store, secret: 'of tests', resave: false, saveUninitialized: false }));
} else {
  app.use(require(examples + '/express-handoff')());
}

function answer(req, res) {
  res.set('X-Backend', name).set('X-Session', req.get('Remora-Session') || '');
  res.send(req.session.said || 'logged out');
}
app.get('/set', (req, res) => {
  req.session.said = req.query.said;
  answer(req, res);
});
app.get('/login', (req, res, next) => {
  if (req.renewSession) {
    req.session.said = req.query.said;
    req.renewSession();
    return answer(req, res);
  }
  const said = req.query.said || req.session.said;
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.said = said;
    req.session.cookie.maxAge = 2000;
    req.renewRemoraSession((failed) => (failed ? next(failed) : answer(req, res)));
  });
});
app.get('/regenerate', (req, res, next) => {
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.said = req.query.said;
    setTimeout(() => answer(req, res), 300);
  });
});
app.get('/slow', (req, res) => {
  waiting++;
  setTimeout(() => {
    waiting--;
    req.session.seen = (req.session.seen || 0) + 1;
    answer(req, res);
  }, 700);
});
app.get('/logout', (req, res, next) => {
  if (!req.session.destroy) {
    req.session = {};
    return res.send('bye');
  }
  req.session.destroy((error) => (error ? next(error) : res.send('bye')));
});
app.get('/', answer);
app.listen(Number(port), '127.0.0.1');
