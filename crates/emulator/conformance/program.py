"""The emulator as a program. It listens on a free port and is set up over its control interface."""

import json
import signal
import subprocess
import urllib.request

# The time at which every case starts. The clock is frozen.
START = "2026-11-21T12:00:00Z"
# The longest time for one exchange with the emulator, in seconds. No exchange takes a hundredth of it.
PATIENCE_S = 20


class Program:
    """A running emulator whose clock stands still."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "--listen", "127.0.0.1:0", "--now", START, "--speed", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(f"the emulator printed {line!r} and no address")
        self.url = line.split()[4].rstrip(",")

    def control(self, method, path, body=None):
        """Makes one call to the control interface. Returns the answer's JSON, or None if it has no body."""
        request = urllib.request.Request(
            f"{self.url}/_emulator/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        """Ends the program and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        return code
