"""Flask sessions that live in this process and outlive it: remora keeps a copy and hands it to the next server.

    from flask_handoff import HandoffSessions
    app.session_interface = HandoffSessions()

remora needs `session: {state: on}` in the app's pool. Sessions hold what Flask's own can: JSON, and dates, bytes,
tuples and UUIDs. A session is remora's: there is no cookie of ours.
A slow request neither undoes a login beside it nor brings back a session that was emptied: what it changed is changed in
what stands when it ends.
At login, and whenever rights change, renew the session: it gets a new id with the same content, so that whoever knew
(or planted) the former one is not logged in with it:

    session.renew()
"""

import base64
import re
import threading
from collections import OrderedDict

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.datastructures import CallbackDict
from werkzeug.exceptions import ServiceUnavailable

ANNOUNCED = re.compile(r'^"([0-9a-f]{32})";epoch=(\d+);reason=(\w+)')


SERIALIZER = TaggedJSONSerializer()
EMPTY = SERIALIZER.dumps({})


def merged(base, mine, theirs):
    """What was changed from base to mine, in theirs; None: theirs was emptied since, and mine is of before."""
    base, theirs = SERIALIZER.loads(base), SERIALIZER.loads(theirs)
    if base and not theirs:
        return None
    for name in base.keys() | mine.keys():
        if name not in mine:
            theirs.pop(name, None)
        elif name not in base or SERIALIZER.dumps(base[name]) != SERIALIZER.dumps(mine[name]):
            theirs[name] = mine[name]
    return theirs


class HandoffSession(CallbackDict, SessionMixin):
    def __init__(self, text, name, epoch):
        def changed(session):
            session.modified = True

        super().__init__(SERIALIZER.loads(text), changed)
        self.text, self.name, self.epoch = text, name, epoch  # the text as it was found
        self.modified = self.renewed = False

    def renew(self):
        self.renewed = True


class HandoffSessions(SessionInterface):
    def __init__(self, most=100_000):
        self.most = most
        self.copies = OrderedDict()  # session -> (epoch, what it holds as text), the last used at the end
        self.lock = threading.Lock()

    def open_session(self, app, request):
        announced = ANNOUNCED.match(request.headers.get("Remora-Session", ""))
        if not announced:  # not through remora: nothing that could be kept
            return HandoffSession(EMPTY, None, 0)
        name, epoch = announced.group(1), int(announced.group(2))
        handed = request.headers.get("Remora-State")
        if handed is not None:
            return self.keep(name, epoch, base64.b64decode(handed).decode())
        with self.lock:
            known = self.copies.get(name)
            if known:
                self.copies.move_to_end(name)
        if known and known[0] == epoch:
            return HandoffSession(known[1], name, epoch)
        # Ours is stale, or there is none. The state may exist: an empty session would log the user out.
        if ";state=unavailable" in request.headers["Remora-Session"]:
            raise ServiceUnavailable("the session is being moved; try again in a moment")
        return HandoffSession(EMPTY, name, epoch)

    def save_session(self, app, session, response):
        if session.name is None:
            return
        if not session.modified and not session.renewed:
            return
        with self.lock:
            known = self.copies.get(session.name)
            wanted = dict(session)
            if known and known[0] > session.epoch:  # it has moved away and back: this answer is too late
                return
            if not wanted and session.text == EMPTY and not session.renewed:
                return
            if known and known[0] == session.epoch and known[1] != session.text:
                wanted = merged(session.text, wanted, known[1])
                if wanted is None:
                    return
            text = SERIALIZER.dumps(wanted)
            # After a renewal the next request has the new id, and brings along what is kept.
            self.put(session.name, session.epoch, EMPTY if session.renewed else text)
        if session.renewed:
            response.headers["Remora-Session-Control"] = "renew"
        response.headers["Remora-State"] = base64.b64encode(text.encode()).decode() if wanted else ""

    def keep(self, name, epoch, text):
        with self.lock:
            self.put(name, epoch, text)
        return HandoffSession(text, name, epoch)

    def put(self, name, epoch, text):
        self.copies[name] = (epoch, text)
        self.copies.move_to_end(name)
        while len(self.copies) > self.most:
            self.copies.popitem(last=False)
