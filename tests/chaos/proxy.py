"""The process under test: started, signalled, followed through hot restarts, judged by how it ends."""

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess

PR_SET_CHILD_SUBREAPER = 36
SIGNS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "ThreadSanitizer:", "terminate called", "Assertion")
MAIN_PID = re.compile(rb"^MAINPID=(\d+)$", re.MULTILINE)  # sd_notify(3)


class Proxy:
    def __init__(self, binary, folder, yaml):
        self.binary, self.folder = binary, folder
        self.file, self.log_file = os.path.join(folder, "remora.yaml"), os.path.join(folder, "log")
        self.alive, self.ended = set(), {}  # pids; pid -> exit status
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # the processes that take over become ours
        self.write(yaml)
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.notes.bind(os.path.join(folder, "notify"))
        environment = dict(os.environ)
        environment["NOTIFY_SOCKET"] = os.path.join(folder, "notify")
        environment["REMORA_CHAOS_KEY"] = subprocess.run([binary, "keygen"], check=True, capture_output=True, text=True).stdout.strip()
        environment["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:exitcode=77:detect_stack_use_after_return=1"
        environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
        environment["TSAN_OPTIONS"] = "halt_on_error=1:second_deadlock_stack=1"
        environment["ASAN_SYMBOLIZER_PATH"] = environment["TSAN_SYMBOLIZER_PATH"] = "/usr/bin/llvm-symbolizer-19"
        with open(self.log_file, "wb") as log:
            process = subprocess.Popen([binary, "run", "-c", self.file], stdout=log, stderr=log, cwd=folder, env=environment)
        self.pid = process.pid
        self.alive.add(self.pid)
        self.restarts = 0

    def write(self, yaml):
        draft = self.file + ".new"
        with open(draft, "w") as out:
            out.write(yaml)
        os.replace(draft, self.file)

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    async def ready(self):
        """(port, admin port)"""
        for _ in range(400):
            text = self.log()
            port = re.search(r"listening on \S*?:(\d+)", text)
            admin = re.search(r"admin on \S*?:(\d+)", text)
            if port and admin:
                return int(port.group(1)), int(admin.group(1))
            self.reap()
            if not self.alive:
                break
            await asyncio.sleep(0.05)
        raise RuntimeError("remora did not start:\n" + self.log())

    def follow(self):
        """After a hot restart another process is the one; it tells systemd so when it has taken over."""
        while True:
            try:
                note = self.notes.recv(4096)
            except BlockingIOError:
                return
            for number in MAIN_PID.findall(note):
                if self.pid != int(number):
                    self.restarts += 1
                self.pid = int(number)
                if self.pid not in self.ended:
                    self.alive.add(self.pid)

    def reap(self):
        """Processes that have ended; those that took over and failed are among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.alive.discard(pid)
            self.ended[pid] = os.waitstatus_to_exitcode(status)

    def signal(self, number):
        if self.pid in self.alive:
            os.kill(self.pid, number)

    async def end(self, patience):
        """SIGTERM to all that are left; true when they ended by themselves in time."""
        self.follow()
        self.reap()
        for pid in list(self.alive):
            os.kill(pid, signal.SIGTERM)
        left = patience
        while self.alive and left > 0:
            await asyncio.sleep(0.05)
            left -= 0.05
            self.reap()
        in_time = not self.alive
        for pid in list(self.alive):
            os.kill(pid, signal.SIGKILL)
        return in_time

    def faults(self):
        """What may not be: a process that ended badly, or a word of a sanitizer."""
        found = [f"process {pid} ended with {code}" for pid, code in self.ended.items() if code != 0]
        text = self.log()
        return found + [f"in the log: {sign}" for sign in SIGNS if sign in text]

    def report(self):
        """The part of the log that a reader wants first."""
        text = self.log()
        places = [text.find(sign) for sign in SIGNS if sign in text]
        at = min(places) if places else max(0, len(text) - 3000)
        return text[max(0, at - 500) : at + 12000]
