"""Signing in with the vendor's credentials: every way that works, and every refusal."""

import base64
import contextlib
import datetime
import json
import os
import socket
import ssl
import tempfile
import time
import urllib.parse
import uuid

import jwt
import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from checks import equal, holds, refused, true
from emulator import SCOPE, Emulator

AUDIENCE = "https://dev.azuresynapse.net"
EXCHANGE = "api://AzureADTokenExchange"
SUBJECT = "repo:contoso/plans:ref:refs/heads/main"


def client_secret(world):
    """a client secret gets a token for the workspace's audience, and a time to renew it"""
    token = world.sign_in().get_token(SCOPE)
    claims = _claims(token.token)
    equal("aud", claims.get("aud", "").rstrip("/"), AUDIENCE)
    equal("tid", claims.get("tid"), world.tenant)
    equal("appid", claims.get("appid"), world.client_id)
    true(f"oid is a GUID: {claims.get('oid')!r}", uuid.UUID(claims["oid"]))
    left = token.expires_on - time.time()
    true(f"the token lives between 55 and 95 minutes: {left:.0f}s", 55 * 60 < left < 95 * 60)
    true("the token's own exp agrees with expires_in", abs(claims["exp"] - token.expires_on) < 60)
    _opens(world, world.sign_in())


def one_token_for_many_calls(world):
    """one credential asks for one token, however many calls it signs"""
    client = world.connect(world.sign_in())
    before = world.requests("token")
    for _ in range(3):
        client.workspace.get()
    equal("token requests", world.requests("token") - before, 1)


def environment(world):
    """the variables it prints are enough for EnvironmentCredential, and for DefaultAzureCredential"""
    names = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST")
    with _variables({name: world.settings[name] for name in names}):
        for kind in (EnvironmentCredential, DefaultAzureCredential):
            _opens(world, kind(disable_instance_discovery=True, connection_verify=world.ca))


def certificate(world):
    """a certificate signs an assertion that is taken"""
    credential = CertificateCredential(
        world.tenant, world.client_id, certificate_data=_certificate(), **world.identity()
    )
    _opens(world, credential)


def certificate_of_a_stranger(world):
    """a certificate for an unknown application is refused with AADSTS700016"""
    stranger = str(uuid.uuid4())
    credential = CertificateCredential(world.tenant, stranger, certificate_data=_certificate(), **world.identity())
    _no_token(credential, "AADSTS700016", stranger)


def federated_assertion(world):
    """a token of another issuer is taken as an assertion"""
    credential = ClientAssertionCredential(
        world.tenant, world.client_id, lambda: _outside_token(EXCHANGE), **world.identity()
    )
    _opens(world, credential)


def federated_assertion_for_another_audience(world):
    """a token of another issuer for another audience is refused, naming issuer and subject"""
    credential = ClientAssertionCredential(
        world.tenant, world.client_id, lambda: _outside_token("https://elsewhere.example"), **world.identity()
    )
    _no_token(credential, "AADSTS70021", "https://issuer.example", SUBJECT)


def expired_assertion(world):
    """an assertion that has ended is refused with AADSTS700024"""
    credential = ClientAssertionCredential(
        world.tenant, world.client_id, lambda: _outside_token(EXCHANGE, lasts=-600), **world.identity()
    )
    _no_token(credential, "AADSTS700024")


def only_those_it_knows(world):
    """where certificates and issuers are named, others are refused with AADSTS700027 and AADSTS70021"""
    with Emulator("known_only") as other:
        who = (other.tenant, other.client_id)
        with_certificate = CertificateCredential(*who, certificate_data=_certificate(), **other.identity())
        _no_token(with_certificate, "AADSTS700027")
        known = ClientAssertionCredential(*who, lambda: _outside_token(EXCHANGE), **other.identity())
        _opens(other, known)
        stranger = ClientAssertionCredential(
            *who, lambda: _outside_token(EXCHANGE, subject="repo:fabrikam/plans:pull-request"), **other.identity()
        )
        _no_token(stranger, "AADSTS70021", "repo:fabrikam/plans:pull-request")


def workload_identity(world):
    """a federated token in a file is taken"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "token")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_outside_token(EXCHANGE))
        credential = WorkloadIdentityCredential(
            tenant_id=world.tenant, client_id=world.client_id, token_file_path=path, **world.identity()
        )
        _opens(world, credential)


def managed_identity_of_a_virtual_machine(world):
    """the identity endpoint of virtual machines gives a token"""
    with _variables({"AZURE_POD_IDENTITY_AUTHORITY_HOST": world.authority}):
        _opens(world, ManagedIdentityCredential(connection_verify=world.ca))
        stranger = ManagedIdentityCredential(client_id=str(uuid.uuid4()), connection_verify=world.ca)
        error = refused(lambda: stranger.get_token(SCOPE), CredentialUnavailableError)
        holds("message", error.message, "Identity not found")


def managed_identity_of_app_service(world):
    """the identity endpoint of App Service gives a token to whoever knows its header"""
    endpoint = {"IDENTITY_ENDPOINT": f"{world.authority}/msi/token"}
    header = world.settings.get("IDENTITY_HEADER", "synflow-emulator-identity")
    with _variables({**endpoint, "IDENTITY_HEADER": header}):
        _opens(world, ManagedIdentityCredential(connection_verify=world.ca))
    with _variables({**endpoint, "IDENTITY_HEADER": "wrong"}):
        credential = ManagedIdentityCredential(connection_verify=world.ca)
        refused(lambda: credential.get_token(SCOPE), CredentialUnavailableError)


def wrong_secret(world):
    """a wrong secret is refused with AADSTS7000215"""
    _no_token(world.sign_in(client_secret="wrong"), "AADSTS7000215", "Invalid client secret provided", world.client_id)


def unknown_client(world):
    """an unknown application is refused with AADSTS700016"""
    stranger = str(uuid.uuid4())
    _no_token(world.sign_in(client_id=stranger), "AADSTS700016", stranger)


def unknown_tenant(world):
    """an unknown tenant is refused, naming it"""
    stranger = str(uuid.uuid4())
    # The library finds out before it asks for a token, and says so in its own words.
    error = refused(lambda: world.sign_in(tenant_id=stranger).get_token(SCOPE), ClientAuthenticationError)
    holds("message", error.message, stranger)
    answer = _ask(world, "v2.0/token", tenant=stranger, scope=SCOPE)
    equal("status", answer.status_code, 400)
    equal("error", answer.json()["error"], "invalid_tenant")
    equal("error_codes", answer.json()["error_codes"], [90002])


def unknown_audience(world):
    """an audience the tenant does not know is refused with AADSTS500011"""
    error = refused(lambda: world.credential.get_token("https://nowhere.example/.default"), ClientAuthenticationError)
    holds("message", error.message, "AADSTS500011", "https://nowhere.example")


def error_bodies(world):
    """a refusal has every member of the recorded ones"""
    answer = _ask(world, "v2.0/token", client_secret="wrong", scope=SCOPE)
    body = answer.json()
    equal("status", answer.status_code, 401)
    members = ["correlation_id", "error", "error_codes", "error_description", "error_uri", "timestamp", "trace_id"]
    equal("members", sorted(body), members)
    equal("error", body["error"], "invalid_client")
    equal("error_codes", body["error_codes"], [7000215])
    holds("error_description", body["error_description"], f"Trace ID: {body['trace_id']}", "\r\n")


def version_one(world):
    """the older token endpoint writes its numbers as text"""
    answer = _ask(world, "token", resource=f"{AUDIENCE}/")
    equal("status", answer.status_code, 200)
    body = answer.json()
    for member in ("expires_in", "expires_on", "not_before"):
        true(f"{member} is text: {body.get(member)!r}", isinstance(body.get(member), str) and body[member].isdigit())
    equal("resource", body.get("resource"), f"{AUDIENCE}/")
    token = body["access_token"]
    call = requests.get(
        f"{world.endpoint}/workspace?api-version=2020-12-01",
        headers={"Authorization": f"Bearer {token}"},
        verify=world.ca,
        timeout=10,
    )
    equal("status of a call with that token", call.status_code, 200)


def token_for_another_audience(world):
    """a token for Resource Manager is refused by the workspace"""
    client = world.connect(world.credential, credential_scopes=["https://management.azure.com/.default"])
    error = refused(client.workspace.get, ClientAuthenticationError)
    equal("status", error.status_code, 401)
    holds("body", error.response.text(), "InvalidTokenAuthenticationAudience")


def no_token(world):
    """a call without a token, or with nonsense for one, is refused"""
    url = f"{world.endpoint}/workspace?api-version=2020-12-01"
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer e30.e30.e30"}):
        answer = requests.get(url, headers=headers, verify=world.ca, timeout=10)
        equal(f"status with {headers}", answer.status_code, 401)


def certificate_is_checked(world):
    """a client that does not know the emulator's certificate refuses to talk"""
    client = world.connect(world.credential, connection_verify=True, retry_total=0)
    error = refused(client.workspace.get, ServiceRequestError)
    holds("message", str(error), "certificate verify failed")


def certificate_is_strict(world):
    """the certificate passes the strict rules that newer Pythons set by default"""
    context = ssl.create_default_context(cafile=world.ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    address = urllib.parse.urlsplit(world.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        with context.wrap_socket(line, server_hostname=address.hostname) as secured:
            true("a modern protocol", secured.version() in ("TLSv1.2", "TLSv1.3"))


def _opens(world, credential):
    """Checks that the workspace takes this credential's token."""
    workspace = world.connect(credential).workspace.get()
    true("the workspace has a name", workspace.name)


def _no_token(credential, *parts):
    error = refused(lambda: credential.get_token(SCOPE), ClientAuthenticationError)
    holds("message", error.message, *parts)


def _ask(world, endpoint, tenant=None, **form):
    """Asks a token endpoint directly, for what the library keeps to itself."""
    known = {
        "grant_type": "client_credentials",
        "client_id": world.client_id,
        "client_secret": world.secret,
    }
    url = f"{world.authority}/{tenant or world.tenant}/oauth2/{endpoint}"
    return requests.post(url, data={**known, **form}, verify=world.ca, timeout=10)


def _claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _outside_token(audience, lasts=600, subject=SUBJECT):
    """Returns what a workflow host or a cluster would hand out."""
    now = int(time.time())
    claims = {
        "iss": "https://issuer.example",
        "sub": subject,
        "aud": audience,
        "iat": now + min(lasts, 0) - 60,
        "nbf": now + min(lasts, 0) - 60,
        "exp": now + lasts,
    }
    return jwt.encode(claims, _KEY, algorithm="RS256")


def _certificate():
    """Returns a certificate of its own making with its key, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "synflow conformance")])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .sign(_KEY, hashes.SHA256())
    )
    key = _KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key + made.public_bytes(serialization.Encoding.PEM)


_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextlib.contextmanager
def _variables(wanted):
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
