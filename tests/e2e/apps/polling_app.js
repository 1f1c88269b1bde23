// Long polling as Engine.IO does it, in short. Arguments: NAME PORT. GET /poll?room=R opens a session and says its id, which
// all further requests carry: a GET waits for the next message of the room, a POST says one. Rooms and sessions are in this
// process's memory, so an id of another instance is unknown here (400).
'use strict';
const [name, port] = process.argv.slice(2);
const app = require('express')();
const rooms = new Map(); // of sessions: id -> the poll that waits, or null
let last = 0;

app.use((req, res, next) => {
  res.set('X-Backend', name);
  next();
});
app.get('/poll', (req, res) => {
  const { room, sid } = req.query;
  if (!rooms.has(room)) rooms.set(room, new Map());
  const members = rooms.get(room);
  if (!sid) {
    const id = `${name}-${++last}`;
    members.set(id, null);
    return res.send(id);
  }
  if (!members.has(sid)) return res.status(400).send('Session ID unknown');
  members.set(sid, res);
  res.flushHeaders(); // the client knows that it is waited for
});
app.post('/poll', (req, res) => {
  const { room, sid, say } = req.query;
  const members = rooms.get(room);
  if (!members || !members.has(sid)) return res.status(400).send('Session ID unknown');
  let heard = 0;
  for (const [id, poll] of members) {
    if (id === sid || !poll) continue;
    poll.end(say);
    members.set(id, null);
    ++heard;
  }
  res.send(String(heard));
});
app.listen(Number(port), '127.0.0.1');
