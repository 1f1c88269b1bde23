// Keeps what a user says in its session, by config/examples/express-handoff.js: arguments NAME PORT EXAMPLES.
'use strict';
const [name, port, examples] = process.argv.slice(2);
const express = require('express');
const handoff = require(examples + '/express-handoff');

const app = express();
app.use(handoff());

function answer(req, res) {
  res.set('X-Backend', name).set('X-Session', req.get('Remora-Session') || '');
  res.send(req.session.said || 'logged out');
}
app.get('/set', (req, res) => {
  req.session.said = req.query.said;
  answer(req, res);
});
app.get('/', answer);
app.listen(Number(port), '127.0.0.1');
