"""One running `synflow emulate --tls`, and the vendor's clients for it."""

import os
import queue
import subprocess
import threading

import requests
from azure.identity import ClientSecretCredential
from azure.synapse.accesscontrol import AccessControlClient
from azure.synapse.artifacts import ArtifactsClient

HERE = os.path.dirname(os.path.abspath(__file__))
LOGS = os.path.join("target", "conformance")
SCOPE = "https://dev.azuresynapse.net/.default"
KEYS = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_AUTHORITY_HOST",
    "SYNAPSE_ENDPOINT",
    "SYNFLOW_CA_FILE",
)


class Emulator:
    """A child process, what it printed, and clients that trust its certificate. Ends with its `with` block."""

    def __init__(self, script, artifacts=True):
        self.name = script
        self.settings = {}
        command = [os.environ["SYNFLOW_BIN"], "emulate", "--tls", "--port", "0"]
        command += ["--script", os.path.join(HERE, "scripts", f"{script}.yaml")]
        if artifacts:
            command += ["--artifacts", os.path.join(HERE, "artifacts")]
        os.makedirs(LOGS, exist_ok=True)
        self.log = os.path.join(LOGS, f"{script}.log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            self._read_settings()
        except BaseException:
            self.__exit__()
            raise
        self.tenant = self.settings["AZURE_TENANT_ID"]
        self.client_id = self.settings["AZURE_CLIENT_ID"]
        self.secret = self.settings["AZURE_CLIENT_SECRET"]
        self.authority = self.settings["AZURE_AUTHORITY_HOST"]
        self.endpoint = self.settings["SYNAPSE_ENDPOINT"]
        self.ca = self.settings["SYNFLOW_CA_FILE"]
        self.credential = self.sign_in()
        self.client = self.connect(self.credential)
        self.access = AccessControlClient(self.credential, self.endpoint, connection_verify=self.ca)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def identity(self, **changed):
        """Returns what every credential of the vendor needs to know to reach this emulator."""
        known = {"authority": self.authority, "disable_instance_discovery": True, "connection_verify": self.ca}
        return {**known, **changed}

    def sign_in(self, **changed):
        """Returns the client secret credential, with whatever is to be different."""
        who = {"tenant_id": self.tenant, "client_id": self.client_id, "client_secret": self.secret}
        return ClientSecretCredential(**self.identity(**{**who, **changed}))

    def connect(self, credential, **settings):
        """Returns a client. Polls fast where the service does not say how long to wait."""
        known = {"connection_verify": self.ca, "polling_interval": 0.05}
        return ArtifactsClient(credential, self.endpoint, **{**known, **settings})

    def record(self):
        """Returns the emulator's own word on what it accepted."""
        answer = requests.get(f"{self.endpoint}/_emulator/record", verify=self.ca, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def accepted(self, pipeline):
        """Returns the accepted runs of a pipeline, as the emulator's record has them."""
        return [run for run in self.record()["runs"] if run["pipeline"] == pipeline]

    def requests(self, operation):
        """Returns how many requests of an operation came so far."""
        return self.record()["requests"].get(operation, 0)

    def _read_settings(self):
        lines = queue.Queue()

        def pump():
            for line in self.process.stdout:
                lines.put(line)
            lines.put("")

        threading.Thread(target=pump, daemon=True).start()
        while not all(key in self.settings for key in KEYS):
            try:
                line = lines.get(timeout=20)
            except queue.Empty:
                line = ""
            if not line:
                missing = ", ".join(key for key in KEYS if key not in self.settings)
                with open(self.log, encoding="utf-8") as log:
                    said = log.read().strip() or "it said nothing"
                raise RuntimeError(f"`{' '.join(self.process.args)}` did not print {missing}: {said}")
            key, found, value = line.removeprefix("export ").partition("=")
            if found:
                self.settings[key.strip()] = value.strip().strip("'\"")
