"""Servers on loopback that the tests script: what they are asked is kept, what they answer is said by each test."""

import base64
import io
import json
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from thinkseg.imaging import rle_from_mask


class Answering:
    """A server whose answers are made by a function.

    Args:
        answer: from the handler, the path and the JSON of a request (None for GET) to what is sent, by `send`.
    """

    def __init__(self, answer):
        self.asked = []
        """(method, path, body, headers) of every request, in order."""
        self.answer = answer
        self._open = []
        outer, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.serve(None)

            def do_POST(self):
                self.serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def serve(self, body):
                with lock:
                    outer.asked.append((self.command, self.path, body, dict(self.headers)))
                outer.answer(self, self.path, body)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request, client_address):
                outer._open.append(request)
                super().process_request(request, client_address)

            def handle_error(self, request, client_address):
                """A client that has gone away is part of the tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def posts(self):
        """The bodies of what was posted."""
        return [body for method, _, body, _ in self.asked if method == "POST"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for connection in self._open:  # which would be served on
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def answering(answer):
    running = Answering(answer)
    try:
        yield running
    finally:
        running.stop()


def send(handler, content, status=200, headers=()):
    """Answer with JSON, or with bytes as they are."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def hang_up(handler):
    """Break the connection without a word."""
    handler.close_connection = True
    handler.connection.close()


def sent_image(text):
    """The image that a request holds, with or without a data address before it."""
    return Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2]))).convert("RGB")


def segmenter_service(masks="single", score=0.75):
    """What a ThinkSeg service answers whose segmenter fills boxes, and the pixel under each point without a box."""

    def mask_of(prompt, size):
        mask = np.zeros(size[::-1], dtype=bool)
        if prompt["box"] is None:
            for x, y, _ in prompt["points"]:
                mask[min(int(y), size[1] - 1), min(int(x), size[0] - 1)] = True
        else:
            left, top, right, bottom = (round(value) for value in prompt["box"])
            mask[top:bottom, left:right] = True
        return mask

    def answer(handler, path, body):
        if path == "/v1/models":
            send(handler, {"data": [], "segmenter": {"name": "boxes", "masks": masks}})
            return
        assert path == "/v1/masks"
        size = sent_image(body["image"]).size
        answers = [
            {"objects": [{"mask": rle_from_mask(mask_of(one, size)), "score": score} for one in objects]}
            for objects in body["answers"]
        ]
        send(handler, {"size": list(size), "answers": answers, "segmenter": "boxes", "revision": "1"})

    return answer
