//! Who the caller is and what it may do.

use serde_json::{Value, json};

use super::{Bench, NOON, RUN, VERSION};
use crate::emulator::model::identity::{IDENTITY_HEADER, base64url};
use crate::emulator::model::{CLIENT_ID, CLIENT_SECRET, OBJECT_ID, Request, TENANT_ID};

const PREFIX: &str = "Microsoft.Synapse/workspaces";

fn jwt(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
    format!("{}.{}.c2ln", part(header), part(claims))
}

fn form(path: &str, members: &[(&str, &str)]) -> Request {
    let mut request = Request::new("POST", path);
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{name}={}", value.replace('/', "%2F"))).collect();
    request.body = members.join("&").into_bytes();
    request
}

#[test]
fn version_one_writes_its_numbers_as_text() {
    let mut bench = Bench::new("identity: { token_lifetime: 10m }", &[]);
    let request = form(
        &format!("/{TENANT_ID}/oauth2/token"),
        &[
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("resource", "https://dev.azuresynapse.net/"),
        ],
    );
    let body = bench.model.answer(NOON, &request).body_json();
    assert_eq!(
        (&body["expires_in"], &body["resource"]),
        (&json!("600"), &json!("https://dev.azuresynapse.net/"))
    );
    assert_eq!(body["expires_on"], (NOON.epoch_ms() / 1000 + 600).to_string());
    bench.token = body["access_token"].as_str().unwrap_or_default().to_owned();
    assert_eq!(bench.get("/pipelines"), json!({ "value": [] }), "an audience with a slash is as good");
}

#[test]
fn takes_assertions() {
    let path = format!("/{TENANT_ID}/oauth2/v2.0/token");
    let endpoint = format!("https://workspace.dev.azuresynapse.net{path}");
    let late = NOON.epoch_ms() / 1000 + 600;
    let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": "abc" });
    let own = json!({ "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": endpoint, "exp": late });
    let outside = json!({ "iss": "https://i", "sub": "s", "aud": "api://AzureADTokenExchange", "exp": late });
    let check = |script: &str, assertion: String, want: Option<i64>| {
        let mut bench = Bench::new(script, &[]);
        let request = form(
            &path,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", CLIENT_ID),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", &assertion),
                ("scope", "https://dev.azuresynapse.net/.default"),
            ],
        );
        let body = bench.model.answer(NOON, &request).body_json();
        assert_eq!(body["error_codes"][0].as_i64(), want, "{body}");
    };
    let with = |claims: &Value, name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    check("", jwt(&header, &own), None);
    check("identity: { certificates: [abc] }", jwt(&header, &own), None);
    check("identity: { certificates: [other] }", jwt(&header, &own), Some(700_027));
    check("", jwt(&json!({ "alg": "PS256" }), &own), Some(700_027));
    check("", jwt(&header, &with(&own, "aud", json!("https://elsewhere"))), Some(700_023));
    check("", jwt(&header, &with(&own, "exp", json!(1))), Some(700_024));
    check("", "nonsense".to_owned(), Some(50_027));
    check("", jwt(&json!({}), &outside), None);
    check("", jwt(&json!({}), &with(&outside, "aud", json!(["api://AzureADTokenExchange"]))), None);
    check("", jwt(&json!({}), &with(&outside, "aud", json!("api://other"))), Some(70_021));
    let federated = "identity: { federated: [{ issuer: 'https://i', subject: s }] }";
    check(federated, jwt(&json!({}), &outside), None);
    check(federated, jwt(&json!({}), &with(&outside, "sub", json!("t"))), Some(70_021));
}

#[test]
fn tells_sign_in_libraries_where_to_go() {
    let mut bench = Bench::new("", &[]);
    let mut get = |path: &str| bench.model.answer(NOON, &Request::new("GET", path)).body_json();
    let instance = get("/common/discovery/instance?api-version=1.1&authorization_endpoint=x");
    assert_eq!(instance["metadata"][0]["aliases"], json!(["workspace.dev.azuresynapse.net"]));
    let config = get(&format!("/{TENANT_ID}/v2.0/.well-known/openid-configuration"));
    assert_eq!(
        config["token_endpoint"],
        format!("https://workspace.dev.azuresynapse.net/{TENANT_ID}/oauth2/v2.0/token")
    );
    assert_eq!(get("/nowhere/v2.0/.well-known/openid-configuration")["error"], "invalid_tenant");
}

#[test]
fn managed_identities() {
    let ask = |script: &str, path: &str, header: (&str, &str)| {
        let mut bench = Bench::new(script, &[]);
        let answer = bench.model.answer(NOON, &Request::new("GET", path).with_header(header.0, header.1));
        (answer.status, answer.body_json())
    };
    let imds = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://dev.azuresynapse.net";
    let (status, body) = ask("", imds, ("Metadata", "true"));
    assert_eq!((status, &body["expires_in"], &body["refresh_token"]), (200, &json!("3599"), &json!("")));
    let (status, body) = ask("", imds, ("x", "y"));
    assert_eq!((status, &body["error"]), (400, &json!("bad_request_102")));
    let (status, body) = ask("identity: { no_managed_identity: true }", imds, ("Metadata", "true"));
    assert_eq!((status, &body["error_description"]), (400, &json!("Identity not found")));
    let (status, _) = ask("", &format!("{imds}&client_id={CLIENT_ID}"), ("Metadata", "true"));
    assert_eq!(status, 200);
    let (status, _) = ask("", &format!("{imds}&client_id=other"), ("Metadata", "true"));
    assert_eq!(status, 400);

    let service = "/msi/token?api-version=2019-08-01&resource=https://dev.azuresynapse.net";
    let (status, body) = ask("", service, ("X-IDENTITY-HEADER", IDENTITY_HEADER));
    assert_eq!((status, body["access_token"].is_string()), (200, true));
    let (status, body) = ask("", service, ("X-IDENTITY-HEADER", "wrong"));
    assert_eq!((status, &body["statusCode"]), (401, &json!(401)));
}

#[test]
fn roles_decide() {
    let runner =
        "access: { roles: [Synapse Compute Operator, Synapse Credential User, Synapse Monitoring Operator] }";
    let check = |script: &str, allowed: [bool; 4]| {
        let mut bench = Bench::new(script, &[]);
        let got = [
            bench.start("pl", RUN, &json!({})).status == 202,
            bench.send(Request::new("GET", &format!("/pipelines?{VERSION}"))).status == 200,
            bench.send(Request::new("GET", &format!("/pipelineruns/{RUN}?{VERSION}"))).status != 403,
            bench.cancel(RUN, "").status != 403,
        ];
        assert_eq!(got, allowed, "{script}");
    };
    check("", [true, true, true, true]);
    check(runner, [true, true, true, true]);
    check("access: { roles: [Synapse Contributor] }", [false, true, true, true]);
    check("access: { roles: [Synapse User] }", [false, false, true, false]);
    check("access: { roles: [] }", [false, false, false, false]);
    check("access: { deny: [cancelPipelineRun/action] }", [true, true, true, false]);
    check("access: { deny: [Microsoft.Synapse/workspaces/artifacts/read] }", [true, false, true, true]);

    let mut bench = Bench::new("access: { roles: [Synapse Contributor] }", &[]);
    assert_eq!(
        bench.start("pl", RUN, &json!({})).body_json(),
        json!({ "error": { "code": "Unauthorized", "message": format!(
            "The principal '{OBJECT_ID}' does not have the required Synapse RBAC permission to perform this action. \
             Required permission: Action: {PREFIX}/credentials/useSecret/action, \
             Scope: workspaces/contoso/credentials/WorkspaceSystemIdentity."
        )}})
    );
}

#[test]
fn says_what_one_may() {
    let mut bench = Bench::new("access: { roles: [Synapse User] }", &[]);
    let mut ask = |principal: &str, action: &str| {
        let body = json!({
            "subject": { "principalId": principal },
            "actions": [{ "id": action, "isDataAction": true }],
            "scope": "workspaces/contoso",
        });
        let request = Request::new("POST", &format!("/checkAccessSynapseRbac?{VERSION}")).with_json(&body);
        bench.send(request).body_json()["accessDecisions"][0].clone()
    };
    let allowed = ask(OBJECT_ID, &format!("{PREFIX}/read"));
    assert_eq!(
        (&allowed["accessDecision"], &allowed["roleAssignment"]["scope"]),
        (&json!("Allowed"), &json!("workspaces/contoso"))
    );
    let refused = ask(OBJECT_ID, &format!("{PREFIX}/cancelPipelineRun/action"));
    assert_eq!((&refused["accessDecision"], refused.get("roleAssignment")), (&json!("NotAllowed"), None));
    assert_eq!(ask("somebody", &format!("{PREFIX}/read"))["accessDecision"], "NotAllowed");
}
