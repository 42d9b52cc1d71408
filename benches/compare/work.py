"""What both Python contenders need: the graph with what is ready in it, and a client of the vendor's SDK."""

import argparse
import contextlib
import heapq
import json
import os
import ssl

import aiohttp
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import ClientSecretCredential
from azure.synapse.artifacts.aio import ArtifactsClient

ENDED = ("Succeeded", "Failed", "Cancelled")


def arguments():
    """Reads the command line: the graph's file, the beat in seconds, how many runs there may be at once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("graph")
    parser.add_argument("--beat", type=float, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    return parser.parse_args()


class Work:
    """Which nodes are ready, by the longest way that is left, and how many run."""

    def __init__(self, path, at_once):
        with open(path, encoding="utf-8") as file:
            nodes = json.load(file)["nodes"]
        self.left = len(nodes)
        self._room = at_once
        self._waits = {node["id"]: len(node["after"]) for node in nodes}
        self._after = {node["id"]: [] for node in nodes}
        # Known durations make the way's length, else its steps.
        ways = dict.fromkeys(self._waits, 0.0)
        for node in reversed(nodes):
            ways[node["id"]] += node.get("seconds", 1.0)
            for parent in node["after"]:
                ways[parent] = max(ways[parent], ways[node["id"]])
                self._after[parent].append(node["id"])
        self._rank = {node["id"]: (-ways[node["id"]], at) for at, node in enumerate(nodes)}
        self._ready = [(self._rank[node["id"]], node["id"]) for node in nodes if not node["after"]]
        heapq.heapify(self._ready)

    def take(self):
        """Yields the nodes that shall start now, the most urgent first."""
        while self._ready and self._room:
            self._room -= 1
            yield heapq.heappop(self._ready)[1]

    def end(self, node, status):
        """Takes the end of a node's run. Fails if it did not succeed: nothing more is to start then."""
        if status != "Succeeded":
            raise RuntimeError(f"{node}: {status}")
        self.left -= 1
        self._room += 1
        for later in self._after[node]:
            self._waits[later] -= 1
            if self._waits[later] == 0:
                heapq.heappush(self._ready, (self._rank[later], later))


@contextlib.asynccontextmanager
async def workspace(at_once):
    """Gives a client whose connections are kept, up to one for each live run.

    The certificate is given to the session: given as `connection_verify`, as usual, it makes the SDK read the file for every
    request, and no connection is used twice.
    """
    trusted = ssl.create_default_context(cafile=os.environ["SYNFLOW_CA_FILE"])
    connector = aiohttp.TCPConnector(ssl=trusted, limit=at_once)
    # As the SDK makes its own session.
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
    async with session:
        transport = AioHttpTransport(session=session, session_owner=False)
        credential = ClientSecretCredential(
            os.environ["AZURE_TENANT_ID"],
            os.environ["AZURE_CLIENT_ID"],
            os.environ["AZURE_CLIENT_SECRET"],
            authority=os.environ["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
            transport=transport,
        )
        endpoint = os.environ["SYNAPSE_ENDPOINT"]
        async with credential, ArtifactsClient(credential, endpoint, transport=transport) as client:
            yield client
