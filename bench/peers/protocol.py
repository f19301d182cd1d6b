"""What the peers share: a request a line (JSON) comes in, an answer a line goes out; see src/engine.rs.

To be imported before any library that may print: stdout is the protocol's own, and whatever else is printed goes to stderr.
"""

import json
import os
import sys
import time

ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def token(position):
    """The token that all engines are given at a position."""
    return 4 + (position * 97 + 13) % 256


def serve(peer):
    """Answers requests from stdin until it ends. A method that returns nothing is timed here."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            operation = request["op"]
            if operation == "memory":
                answer = {"bytes": peak_bytes()}
            else:
                begun = time.perf_counter()
                seconds = getattr(peer, operation)(request)
                answer = {"seconds": time.perf_counter() - begun if seconds is None else seconds}
        except Exception as error:  # whatever it is, the run goes on without this figure
            answer = {"error": f"{type(error).__name__}: {error}".split("\n")[0]}
        say(json.dumps(answer))


def say(line):
    ANSWERS.write(line + "\n")
    ANSWERS.flush()


def peak_bytes():
    """The most bytes that this process ever had resident."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0
