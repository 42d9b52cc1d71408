"""A headless Chromium without a network, driven over its DevTools protocol. Pages are opened from file addresses."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

PATIENCE_S = 20


class Browser:
    """A running Chromium; its end ends with the `with` block."""

    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="synflow-report-")
        # Every name leads nowhere: what would leave the machine fails, and is seen.
        self.process = subprocess.Popen(
            [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
             "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.folder}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = self._port()

    def _port(self):
        file = Path(self.folder) / "DevToolsActivePort"
        for _ in range(PATIENCE_S * 20):
            if file.exists() and file.read_text().strip():
                return int(file.read_text().split()[0])
            assert self.process.poll() is None, "the browser has ended at once"
            time.sleep(0.05)
        raise AssertionError("the browser does not say where it listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def page(self, **kind):
        return Page(self, **kind)


class Page:
    """A tab. Keeps every request and every complaint of the console."""

    def __init__(self, browser, width=1280, height=900, dark=False, scripts=True, scale=1):
        request = urllib.request.Request(f"http://127.0.0.1:{browser.port}/json/new?about:blank", method="PUT")
        target = json.load(urllib.request.urlopen(request, timeout=PATIENCE_S))
        self.socket = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=PATIENCE_S)
        self.number = 0
        self.requests, self.complaints, self.events = [], [], []
        for domain in ("Page", "Runtime", "Network", "Log", "Performance"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 500)
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _note(self, event):
        method, told = event.get("method", ""), event.get("params", {})
        self.events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(told["args"])[:600])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"]["text"])

    def open(self, path):
        """Opens a file and returns how many milliseconds it took until it could be used."""
        self.events.clear()
        begun = time.monotonic()
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            self._note(json.loads(self.socket.recv()))
        # The script has run; what it made is laid out and painted once a question after the next frame is answered.
        self.call("Runtime.evaluate", expression="document.body.offsetHeight")
        return (time.monotonic() - begun) * 1000

    def ask(self, expression):
        """Evaluates an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def press(self, key, text=None):
        code = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9, "/": 191}.get(key, 0)
        text = text or {"Enter": "\r", "/": "/"}.get(key)
        down = {"type": "keyDown", "key": key, "windowsVirtualKeyCode": code}
        if text:
            down["text"] = text
        self.call("Input.dispatchKeyEvent", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)
        self.frame()

    def frame(self):
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def picture(self, path, whole=False):
        self.frame()
        kept = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(kept["data"]))

    def close(self):
        self.call("Page.close")
        self.socket.close()


def binary():
    """Returns the Chromium of this machine."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and shutil.which(name):
            return shutil.which(name)
    raise SystemExit("no Chromium; CHROMIUM names one")
