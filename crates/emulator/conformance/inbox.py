"""An HTTP server in the place of a seller's endpoint. It keeps the messages that are posted to it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Inbox:
    """The received messages in their order. The server listens on a free port."""

    def __init__(self):
        self.messages = []
        self.refusals = 0
        inbox = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(inbox.take(message))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Prints nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self.server.server_port}/lifecycle"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, message):
        if self.refusals > 0:
            self.refusals -= 1
            return 503
        self.messages.append(message)
        return 200

    def refuse(self, count):
        """Answers the next `count` messages with 503."""
        self.refusals = count

    def empty(self):
        self.messages.clear()
