"""Flask sessions kept by call: the session API of remora holds them, this process only copies.

    from flask_sessions import RemoraSessions
    app.session_interface = RemoraSessions("/run/remora/sessions")

remora needs `session: {state: on}` in the app's pool and `session_api: unix:/run/remora/sessions`. A copy is used while
its epoch is the request's; after a move the state is asked for. A save that comes too late (the session is another
server's by now) is dropped. Unlike flask_handoff.py it has room beyond a header field's and needs no field on responses.
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


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("remora", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class RemoraSession(CallbackDict, SessionMixin):
    def __init__(self, initial, name, announced):
        def changed(session):
            session.modified = True

        super().__init__(initial, changed)
        self.name, self.announced = name, announced
        self.modified = self.renewed = False

    def renew(self):
        self.renewed = True


class RemoraSessions(SessionInterface):
    def __init__(self, path, timeout=2.0, most=100_000):
        self.path, self.timeout, self.most = path, timeout, most
        self.copies = OrderedDict()  # session -> (epoch, text), the last used at the end
        self.lock = threading.Lock()
        self.serializer = TaggedJSONSerializer()

    def call(self, method, name, announced, body=None):
        connection = UnixConnection(self.path, self.timeout)
        try:
            connection.request(method, "/v1/sessions/" + name, body, {"Remora-Session": announced})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError as error:
            raise ServiceUnavailable("the session store cannot be asked") from error
        finally:
            connection.close()

    def open_session(self, app, request):
        announced = request.headers.get("Remora-Session", "")
        said = ANNOUNCED.match(announced)
        if not said:  # not through remora: nothing that could be kept
            return RemoraSession({}, None, "")
        name, epoch = said.group(1), int(said.group(2))
        with self.lock:
            known = self.copies.get(name)
        if not known or known[0] != epoch:
            if said.group(3) in ("new", "expired"):
                return RemoraSession({}, name, announced)
            status, body = self.call("GET", name, announced)
            if status not in (200, 404):  # an empty session would log the user out
                raise ServiceUnavailable("the session cannot be had; try again in a moment")
            known = (epoch, body.decode() if status == 200 else self.serializer.dumps({}))
        self.keep(name, *known)
        return RemoraSession(self.serializer.loads(known[1]), name, announced)

    def save_session(self, app, session, response):
        if session.name is None:
            return
        if session.renewed:  # what is kept under the former id moves to the new one
            response.headers["Remora-Session-Control"] = "renew"
        if not session.modified and not session.renewed:
            return
        text = self.serializer.dumps(dict(session))
        if session:
            status, _ = self.call("PUT", session.name, session.announced, text.encode())
        else:
            status, _ = self.call("DELETE", session.name, session.announced)
        if status == 409:  # another server's by now
            with self.lock:
                self.copies.pop(session.name, None)
        elif status in (201, 204, 404):
            self.keep(session.name, int(ANNOUNCED.match(session.announced).group(2)), text)
        else:
            raise ServiceUnavailable("the session could not be kept")
        if session.renewed:
            with self.lock:
                self.copies.pop(session.name, None)

    def keep(self, name, epoch, text):
        with self.lock:
            self.copies[name] = (epoch, text)
            self.copies.move_to_end(name)
            while len(self.copies) > self.most:
                self.copies.popitem(last=False)
