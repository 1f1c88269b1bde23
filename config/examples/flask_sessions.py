"""Flask sessions kept by call: the session API of remora holds them, this process only copies.

    from flask_sessions import RemoraSessions
    app.session_interface = RemoraSessions("/run/remora/sessions")

remora needs `session: {state: on}` in the app's pool and `session_api: unix:/run/remora/sessions`. A copy is used while
its epoch is the request's; after a move the state is asked for. (Several processes behind one address: give `most=0`,
so that each request asks.) A write names the version that it changes (If-Match); when another request was faster, what
this one changed is changed in what stands then, so that a slow request neither undoes a login beside it nor brings back
a session that was emptied. A save that comes too late (the session is another server's by now, or over) is dropped. Unlike flask_handoff.py it has room beyond a header field's and needs no field on responses.
At login, and whenever rights change, renew the session: it gets a new id with the same content, so that whoever knew
(or planted) the former one is not logged in with it:

    session.renew()
"""

import http.client
import re
import socket
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


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("remora", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class RemoraSession(CallbackDict, SessionMixin):
    def __init__(self, text, name, announced, etag=""):
        def changed(session):
            session.modified = True

        super().__init__(SERIALIZER.loads(text), changed)
        self.text, self.etag = text, etag  # as it was found
        self.name, self.announced = name, announced
        self.modified = self.renewed = False

    def renew(self):
        self.renewed = True


class RemoraSessions(SessionInterface):
    def __init__(self, path, timeout=2.0, most=100_000):
        self.path, self.timeout, self.most = path, timeout, most
        self.copies = OrderedDict()  # session -> (epoch, text, its version), the last used at the end
        self.lock = threading.Lock()

    def call(self, method, name, announced, body=None, **conditions):
        connection = UnixConnection(self.path, self.timeout)
        fields = {"Remora-Session": announced} | {k.replace("_", "-"): v for k, v in conditions.items()}
        try:
            connection.request(method, "/v1/sessions/" + name, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers.get("ETag", "")
        except OSError as error:
            raise ServiceUnavailable("the session store cannot be asked") from error
        finally:
            connection.close()

    def open_session(self, app, request):
        announced = request.headers.get("Remora-Session", "")
        said = ANNOUNCED.match(announced)
        if not said:  # not through remora: nothing that could be kept
            return RemoraSession(EMPTY, None, "")
        name, epoch = said.group(1), int(said.group(2))
        with self.lock:
            known = self.copies.get(name)
        if not known or known[0] != epoch:
            if said.group(3) in ("new", "expired"):
                return RemoraSession(EMPTY, name, announced)
            known = (epoch, *self.ask(name, announced))
        self.keep(name, *known)
        return RemoraSession(known[1], name, announced, known[2])

    def ask(self, name, announced):
        status, body, etag = self.call("GET", name, announced)
        if status not in (200, 404):  # an empty session would log the user out
            raise ServiceUnavailable("the session cannot be had; try again in a moment")
        return (body.decode(), etag) if status == 200 else (EMPTY, "")

    def save_session(self, app, session, response):
        if session.name is None:
            return
        if session.renewed:  # what is kept under the former id moves to the new one
            response.headers["Remora-Session-Control"] = "renew"
        if not session.modified and not session.renewed:
            return
        self.write(session, dict(session))
        if session.renewed:
            with self.lock:
                self.copies.pop(session.name, None)

    def write(self, session, wanted):
        """Until nobody was faster; then what this request changed is changed in what stands."""
        base, mine, etag = session.text, wanted, session.etag
        for _ in range(16):
            if not wanted and not etag:
                return None  # there was nothing, and there is nothing to be kept
            only = {"If_Match": etag} if etag else {"If_None_Match": "*"}
            body = SERIALIZER.dumps(wanted).encode() if wanted else None
            method = "PUT" if wanted else "DELETE"
            status, _, etag = self.call(method, session.name, session.announced, body, **only)
            if status in (201, 204, 404):
                epoch = int(ANNOUNCED.match(session.announced).group(2))
                return self.keep(session.name, epoch, SERIALIZER.dumps(wanted), etag if wanted else "")
            with self.lock:
                self.copies.pop(session.name, None)
            if status == 409:  # another server's by now, or over
                return None
            if status != 412:
                raise ServiceUnavailable("the session could not be kept")
            theirs, etag = self.ask(session.name, session.announced)
            wanted = merged(base, mine, theirs)
            if wanted is None:
                return None
        raise ServiceUnavailable("others keep changing the session")

    def keep(self, name, epoch, text, etag):
        with self.lock:
            self.copies[name] = (epoch, text, etag)
            self.copies.move_to_end(name)
            while len(self.copies) > self.most:
                self.copies.popitem(last=False)
