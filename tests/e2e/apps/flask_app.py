"""Counts the requests of a session on the server, one folder of sessions per server: arguments NAME PORT FOLDER."""

import logging
import sys

from flask import Flask, request, session
from flask_session import Session

name, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
logging.getLogger("werkzeug").setLevel(logging.ERROR)
app = Flask(name)
app.config.update(SESSION_TYPE="filesystem", SESSION_FILE_DIR=folder, SESSION_COOKIE_NAME="session")
Session(app)


@app.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return (
        str(session["count"]),
        {
            "X-Backend": name,
            "X-Session": request.headers.get("Remora-Session", ""),
            "X-Count": str(session["count"]),
        },
    )


@app.route("/logout")
def logout():
    session.clear()
    return "bye", {"X-Backend": name}


app.run(host="127.0.0.1", port=port, threaded=True)
