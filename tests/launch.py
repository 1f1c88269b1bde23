#!/usr/bin/env python3
"""Runs one test program for ctest, and decides whether a failed test may run once more.

usage: launch.py [--never-repeat] --notes FILE PROGRAM [ARGUMENT...]

A shared machine can stand still for seconds, and end-to-end tests have deadlines. With CI=true a failed test is
therefore repeated once: that test by its name, not the whole program. FILE lists the repeated tests of the run;
`./dev test` empties it at the start and prints it at the end. The third test of a run is not repeated.

Never repeated: anything in a sanitizer build (--never-repeat), a test that recorded the property `never_repeat` (a
server's bad exit status), a crash, and a failure outside a test.
"""
import fcntl
import json
import os
import subprocess
import sys
import tempfile

MAX_REPEATS = 2  # in one run of ctest


def say(text):
    print(f"launch: {text}", flush=True)


def run(program, report):
    """The exit status; -N: ended by signal N."""
    return subprocess.call(program + [f"--gtest_output=json:{report}"])


def failed_tests(report):
    """Names of the failed tests; None if the report does not explain the failure test by test."""
    try:
        with open(report, encoding="utf-8") as text:
            suites = json.load(text)["testsuites"]
    except (OSError, ValueError, KeyError):
        return None  # the program did not reach its end
    names = []
    for suite in suites:
        for test in suite["testsuite"]:
            if "failures" not in test:
                continue
            if "never_repeat" in test:
                say(f"{suite['name']}.{test['name']}: {test['never_repeat']}: not repeated")
                return None
            names.append(f"{suite['name']}.{test['name']}")
    return names or None  # none: a suite's own set-up failed


def note(path, names):
    """Enters the names in the run's list, unless that would make too many."""
    with open(path, "a+", encoding="utf-8") as notes:
        fcntl.flock(notes, fcntl.LOCK_EX)
        notes.seek(0)
        if len(notes.read().split()) + len(names) > MAX_REPEATS:
            return False
        notes.write("".join(name + "\n" for name in names))
        return True


def main(arguments):
    never_repeat = arguments[0] == "--never-repeat"
    if never_repeat:
        arguments = arguments[1:]
    notes, program = arguments[1], arguments[2:]
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        code = run(program, report)
        if code == 0:
            return 0
        failure = code if code > 0 else 1
        if code != 1 or never_repeat or os.environ.get("CI") != "true":  # 1: tests failed, nothing worse
            return failure
        names = failed_tests(report)
        if names is None:
            return failure
        if not note(notes, names):
            say(f"not repeated, because a run repeats {MAX_REPEATS} tests at most: {' '.join(names)}")
            return failure
        say(f"once more: {' '.join(names)}")
        os.remove(report)
        code = run(program + ["--gtest_filter=" + ":".join(names)], report)
        return code if code >= 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
