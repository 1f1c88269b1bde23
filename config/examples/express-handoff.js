// Express sessions that live in this process and outlive it: remora keeps a copy and hands it to the next server.
//
//   const handoff = require('./express-handoff');
//   app.use(handoff());               // then req.session, any JSON
//
// remora needs `session: {state: on}` in the app's pool. A session is remora's: there is no cookie of ours.
//
// At login, and whenever rights change, renew it: the session gets a new id with the same content, so that whoever
// knew (or planted) the former one is not logged in with it:
//
//   req.renewSession();
'use strict';

const announced = /^"([0-9a-f]{32})";epoch=(\d+);reason=(\w+)/;

module.exports = function handoff({ most = 100000 } = {}) {
  const copies = new Map(); // session -> {epoch, text}; the last used at the end

  function keep(name, epoch, text) {
    copies.delete(name);
    copies.set(name, { epoch, text });
    if (copies.size > most) copies.delete(copies.keys().next().value);
  }

  return function (req, res, next) {
    req.session = {};
    req.renewSession = () => {};
    const said = announced.exec(req.get('Remora-Session') || '');
    if (!said) return next(); // not through remora: nothing that could be kept
    const name = said[1];
    const epoch = Number(said[2]);
    const handed = req.get('Remora-State');
    if (handed !== undefined) keep(name, epoch, Buffer.from(handed, 'base64').toString());
    const known = copies.get(name);
    if (known && known.epoch === epoch) {
      keep(name, epoch, known.text);
      req.session = JSON.parse(known.text);
    } else if (req.get('Remora-Session').includes(';state=unavailable')) {
      // The state may exist: an empty session would log the user out.
      return res.status(503).send('the session is being moved; try again in a moment');
    }
    const before = JSON.stringify(req.session);
    let renewed = false;
    req.renewSession = () => {
      renewed = true;
    };

    const writeHead = res.writeHead;
    res.writeHead = function (...args) {
      const text = JSON.stringify(req.session || {});
      if (renewed) { // the next request has the new id, and brings along what is kept
        copies.delete(name);
        res.setHeader('Remora-Session-Control', 'renew');
      }
      if (text !== before || renewed) {
        if (!renewed) keep(name, epoch, text);
        res.setHeader('Remora-State', text === '{}' ? '' : Buffer.from(text).toString('base64'));
      }
      return writeHead.apply(this, args);
    };
    next();
  };
};
