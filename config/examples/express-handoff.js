// Express sessions that live in this process and outlive it: remora keeps a copy and hands it to the next server.
//
//   const handoff = require('./express-handoff');
//   app.use(handoff());               // then req.session, any JSON
//
// remora needs `session: {state: on}` in the app's pool. A session is remora's: there is no cookie of ours.
//
// A slow request neither undoes a login beside it nor brings back a session that was emptied: what it changed is changed
// in what stands when it ends.
//
// At login, and whenever rights change, renew it: the session gets a new id with the same content, so that whoever
// knew (or planted) the former one is not logged in with it:
//
//   req.renewSession();
'use strict';

const announced = /^"([0-9a-f]{32})";epoch=(\d+);reason=(\w+)/;

// What was changed from base to mine, in theirs.
function merge(base, mine, theirs) {
  for (const key of new Set([...Object.keys(base), ...Object.keys(mine)])) {
    if (JSON.stringify(base[key]) === JSON.stringify(mine[key])) continue;
    if (key in mine) theirs[key] = mine[key];
    else delete theirs[key];
  }
  return theirs;
}

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

    // What is to be kept; null: nothing new, or it comes too late.
    function settled(base, mine) {
      const now = copies.get(name);
      if ((mine === base && !renewed) || (now && now.epoch > epoch)) return null;
      if (!now || now.epoch < epoch || now.text === base) return mine;
      if (now.text === '{}' && base !== '{}') return null; // emptied since
      return JSON.stringify(merge(JSON.parse(base), JSON.parse(mine), JSON.parse(now.text)));
    }

    req.renewSession = () => {
      renewed = true;
    };

    const writeHead = res.writeHead;
    res.writeHead = function (...args) {
      const text = settled(before, JSON.stringify(req.session || {}));
      if (text !== null && renewed) res.setHeader('Remora-Session-Control', 'renew');
      if (text !== null) {
        keep(name, epoch, renewed ? '{}' : text); // the next request has the new id, and brings along what is kept
        res.setHeader('Remora-State', text === '{}' ? '' : Buffer.from(text).toString('base64'));
      }
      return writeHead.apply(this, args);
    };
    next();
  };
};
