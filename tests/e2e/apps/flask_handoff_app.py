"""Keeps what a user says in its session, by config/examples/flask_handoff.py, or with the path of the session API's
socket by flask_sessions.py: arguments NAME PORT EXAMPLES [SOCKET]."""

import logging
import sys
import threading
import time

from flask import Flask, request, session

name, port, examples = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.dont_write_bytecode = True
sys.path.insert(0, examples)
from flask_handoff import HandoffSessions  # noqa: E402
from flask_sessions import RemoraSessions  # noqa: E402

logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(name)
app.session_interface = RemoraSessions(sys.argv[4]) if len(sys.argv) > 4 else HandoffSessions()


@app.route("/set")
def keep():
    session["said"] = request.args["said"]
    return answer()


@app.route("/login")
def login():
    session["said"] = request.args["said"]
    session.renew()
    return answer()


@app.route("/logout")
def logout():
    session.clear()
    return "bye"


waiting = 0
counting = threading.Lock()


@app.route("/slow")
def slow():
    global waiting
    with counting:
        waiting += 1
    time.sleep(0.7)
    with counting:
        waiting -= 1
    session["seen"] = session.get("seen", 0) + 1
    return answer()


@app.route("/waiting")
def how_many_wait():
    return str(waiting)


@app.route("/")
def answer():
    return session.get("said", "logged out"), {
        "X-Backend": name,
        "X-Session": request.headers.get("Remora-Session", ""),
    }


app.run(host="127.0.0.1", port=port, threaded=True)
