//! Every way to sign in, against issuers on loopback that check what they are shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use synflow::synapse::{
    AuthMethod, Chain, Cloud, Http, HttpSettings, SignInFailure, SignInSettings, TokenCache,
};

use crate::script_server::{Request, ScriptServer, answer, json as json_answer};

const AUDIENCE: &str = "https://dev.azuresynapse.net";
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/auth/client.pem");
const PUBLIC_KEY: &[u8] = include_bytes!("../auth/client-public.pem");
/// What `openssl x509 -outform der | openssl dgst -sha256` says, in base64url.
const THUMBPRINT: &str = "XM3-N4SuGm10ImDLUIWVRadcx1hyC5Qw3qZ4zvvvxnY";
#[cfg(unix)]
const AZ_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/auth");

/// An environment; the folder of programs is empty unless a test names one.
struct Surroundings(BTreeMap<String, String>);

impl Surroundings {
    fn new(authority: &str) -> Self {
        Self(BTreeMap::new()).with("AZURE_AUTHORITY_HOST", authority).with("PATH", "/nowhere")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), value.to_owned());
        self
    }

    fn of_an_application(self) -> Self {
        self.with("AZURE_TENANT_ID", "contoso").with("AZURE_CLIENT_ID", "the-client")
    }

    fn settings(&self, method: Option<AuthMethod>) -> SignInSettings<'_> {
        SignInSettings { environment: &self.0, cloud: Cloud::Public, tenant: None, method }
    }

    fn tokens(&self, method: impl Into<Option<AuthMethod>>) -> TokenCache {
        tokens(&self.settings(method.into()))
    }
}

fn tokens(settings: &SignInSettings<'_>) -> TokenCache {
    let http = Http::new(&HttpSettings { use_system_proxy: false, ..HttpSettings::default() }).unwrap();
    TokenCache::new(Chain::choose(settings).unwrap(), http)
}

async fn server(script: impl Fn(&Request) -> (&'static str, Value) + Send + Sync + 'static) -> ScriptServer {
    ScriptServer::start(move |request| {
        let (status, body) = script(request);
        json_answer(status, &body.to_string())
    })
    .await
}

/// Issues a token to whoever asks.
async fn generous() -> ScriptServer {
    server(|_| ("200 OK", json!({"access_token": "t", "expires_in": 3599}))).await
}

/// Refuses everybody.
async fn strict() -> ScriptServer {
    let body = json!({"error": "invalid_client", "error_description": "AADSTS7000215: wrong", "error_codes": [7_000_215]});
    server(move |_| ("401 Unauthorized", body.clone())).await
}

/// Reads the form of a sign-in.
fn form(request: &Request) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://localhost/?{}", request.body)).unwrap();
    url.query_pairs().into_owned().collect()
}

/// Reads the query of a request.
fn query(request: &Request) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://localhost{}", request.target)).unwrap();
    url.query_pairs().into_owned().collect()
}

fn only(server: &ScriptServer) -> Request {
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests[0].clone()
}

#[tokio::test]
async fn a_certificate_signs_what_the_authority_can_check() {
    let authority = generous().await;
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("AZURE_CLIENT_CERTIFICATE_PATH", CERTIFICATE);
    surroundings.tokens(AuthMethod::Environment).check(AUDIENCE).await.unwrap();

    let request = only(&authority);
    let form = form(&request);
    assert_eq!(request.target, "/contoso/oauth2/v2.0/token");
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(form["client_id"], "the-client");
    assert_eq!(form["scope"], "https://dev.azuresynapse.net/.default");
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!form.contains_key("client_secret"));

    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::PS256);
    rules.set_audience(&[format!("{}/contoso/oauth2/v2.0/token", authority.url())]);
    rules.set_issuer(&["the-client"]);
    rules.validate_nbf = true;
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(PUBLIC_KEY).unwrap();
    let token = jsonwebtoken::decode::<Value>(&form["client_assertion"], &key, &rules).unwrap();
    assert_eq!(token.header.x5t_s256.as_deref(), Some(THUMBPRINT));
    assert_eq!(token.header.typ.as_deref(), Some("JWT"));
    assert_eq!(token.claims["sub"], "the-client");
    assert_eq!(token.claims["exp"].as_i64().unwrap() - token.claims["iat"].as_i64().unwrap(), 600);
    uuid::Uuid::parse_str(token.claims["jti"].as_str().unwrap()).unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_named() {
    let surroundings = Surroundings::new("http://localhost:1")
        .of_an_application()
        .with("AZURE_CLIENT_CERTIFICATE_PATH", "/nowhere/client.pem");
    let failure = surroundings.tokens(AuthMethod::Environment).check(AUDIENCE).await.unwrap_err();
    assert!(failure.is_final());
    assert!(failure.to_string().contains("cannot read the certificate `/nowhere/client.pem`"), "{failure}");
}

#[tokio::test]
async fn a_token_file_is_read_each_time() {
    // Tokens without a life are asked for again at once.
    let authority = server(|_| ("200 OK", json!({"access_token": "t", "expires_in": 0}))).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    let tokens = surroundings.tokens(AuthMethod::WorkloadIdentity);
    for assertion in ["first", "second"] {
        std::fs::write(&file, format!("{assertion}\n")).unwrap();
        tokens.check(AUDIENCE).await.unwrap();
        assert_eq!(form(authority.requests().last().unwrap())["client_assertion"], assertion);
    }
    std::fs::remove_file(&file).unwrap();
    let failure = tokens.check(AUDIENCE).await.unwrap_err();
    assert!(failure.to_string().contains("cannot read the token file"), "{failure}");
}

#[tokio::test]
async fn a_github_job_shows_its_own_token() {
    let authority = generous().await;
    let issuer = server(|_| ("200 OK", json!({"value": "from-github", "count": 1}))).await;
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("ACTIONS_ID_TOKEN_REQUEST_URL", &format!("{}/oidc?api-version=2.0", issuer.url()))
        .with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-token");
    surroundings.tokens(AuthMethod::GitHub).check(AUDIENCE).await.unwrap();

    let asked = only(&issuer);
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.header("authorization"), Some("Bearer job-token"));
    assert_eq!(query(&asked)["api-version"], "2.0");
    assert_eq!(query(&asked)["audience"], "api://AzureADTokenExchange");
    assert_eq!(form(&only(&authority))["client_assertion"], "from-github");
}

#[tokio::test]
async fn an_azure_pipelines_job_shows_its_own_token() {
    let authority = generous().await;
    let issuer = server(|_| ("200 OK", json!({"oidcToken": "from-pipelines"}))).await;
    let surroundings = Surroundings::new(&authority.url())
        .with("AZURESUBSCRIPTION_TENANT_ID", "contoso")
        .with("AZURESUBSCRIPTION_CLIENT_ID", "the-client")
        .with("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "connection")
        .with("SYSTEM_OIDCREQUESTURI", &format!("{}/oidc", issuer.url()))
        .with("SYSTEM_ACCESSTOKEN", "job-token");
    surroundings.tokens(AuthMethod::AzurePipelines).check(AUDIENCE).await.unwrap();

    let asked = only(&issuer);
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.header("authorization"), Some("Bearer job-token"));
    assert_eq!(asked.header("x-tfs-fedauthredirect"), Some("Suppress"));
    assert_eq!(query(&asked)["api-version"], "7.1");
    assert_eq!(query(&asked)["serviceConnectionId"], "connection");
    let form = form(&only(&authority));
    assert_eq!(form["client_assertion"], "from-pipelines");
    assert_eq!(form["client_id"], "the-client");
}

#[tokio::test]
async fn a_job_token_is_never_sent_in_the_open() {
    let surroundings = Surroundings::new("http://localhost:1")
        .of_an_application()
        .with("ACTIONS_ID_TOKEN_REQUEST_URL", "http://issuer.example/oidc")
        .with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-token");
    let failure = surroundings.tokens(AuthMethod::GitHub).check(AUDIENCE).await.unwrap_err();
    assert_eq!(failure.to_string(), "cannot sign in: ACTIONS_ID_TOKEN_REQUEST_URL must be https");
}

#[tokio::test]
async fn a_virtual_machine_has_an_identity() {
    let metadata = server(|_| {
        let body = json!({
            "access_token": "t", "client_id": "c", "expires_in": "86399", "expires_on": "1764000000",
            "refresh_token": "", "resource": AUDIENCE, "token_type": "Bearer",
        });
        ("200 OK", body)
    })
    .await;
    let surroundings = Surroundings::new("http://localhost:1")
        .with("AZURE_CLIENT_ID", "which")
        .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
    surroundings.tokens(AuthMethod::ManagedIdentity).check(AUDIENCE).await.unwrap();

    let asked = only(&metadata);
    assert!(asked.target.starts_with("/metadata/identity/oauth2/token?"), "{}", asked.target);
    assert_eq!(asked.header("metadata"), Some("true"));
    assert_eq!(query(&asked)["api-version"], "2018-02-01");
    assert_eq!(query(&asked)["resource"], AUDIENCE);
    assert_eq!(query(&asked)["client_id"], "which");
}

#[tokio::test]
async fn a_virtual_machine_that_is_being_updated_is_only_busy() {
    for status in ["404 Not Found", "410 Gone", "429 Too Many Requests", "500 Internal Server Error"] {
        let metadata = server(move |_| (status, json!({}))).await;
        let surroundings = Surroundings::new("http://localhost:1")
            .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
        let failure = surroundings.tokens(AuthMethod::ManagedIdentity).check(AUDIENCE).await.unwrap_err();
        assert!(!failure.is_final(), "{failure}");
    }
    let refusal = json!({"error": "invalid_request", "error_description": "Identity not found"});
    let metadata = server(move |_| ("400 Bad Request", refusal.clone())).await;
    let surroundings =
        Surroundings::new("http://localhost:1").with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
    let failure = surroundings.tokens(AuthMethod::ManagedIdentity).check(AUDIENCE).await.unwrap_err();
    assert_eq!(failure.to_string(), "sign-in refused: Identity not found (invalid_request, 400)");
}

#[tokio::test]
async fn an_app_service_has_an_identity() {
    // Names the end instead of the life: an hour after the answer's own date, then a minute before it.
    let asked = AtomicUsize::new(0);
    let platform = ScriptServer::start(move |_| {
        let end = if asked.fetch_add(1, Ordering::SeqCst) == 0 { "1795485600" } else { "1795481940" };
        let body =
            json!({"access_token": "t", "expires_on": end, "resource": AUDIENCE, "token_type": "Bearer"});
        answer("200 OK", &["Date: Tue, 24 Nov 2026 01:00:00 GMT"], &body.to_string())
    })
    .await;
    let surroundings = || {
        Surroundings::new("http://localhost:1")
            .with("IDENTITY_ENDPOINT", &format!("{}/msi/token", platform.url()))
            .with("IDENTITY_HEADER", "platform-secret")
    };
    let tokens = surroundings().tokens(AuthMethod::ManagedIdentity);
    tokens.check(AUDIENCE).await.unwrap();
    tokens.check(AUDIENCE).await.unwrap();
    let asked = only(&platform);
    assert!(asked.target.starts_with("/msi/token?"), "{}", asked.target);
    assert_eq!(asked.header("x-identity-header"), Some("platform-secret"));
    assert_eq!(query(&asked)["api-version"], "2019-08-01");
    assert_eq!(query(&asked)["resource"], AUDIENCE);

    let tokens = surroundings().tokens(AuthMethod::ManagedIdentity);
    tokens.check(AUDIENCE).await.unwrap();
    tokens.check(AUDIENCE).await.unwrap();
    assert_eq!(platform.requests().len(), 3, "a token at its end is not kept");
}

#[cfg(unix)]
#[tokio::test]
async fn the_command_line_lends_its_login() {
    let surroundings = Surroundings::new("http://localhost:1").with("PATH", AZ_FOLDER);
    let tokens = |tenant| {
        let settings =
            SignInSettings { tenant: Some(tenant), ..surroundings.settings(Some(AuthMethod::AzureCli)) };
        tokens(&settings)
    };
    let who = tokens("contoso").who(AUDIENCE).await.unwrap();
    assert_eq!(who.method, AuthMethod::AzureCli);
    tokens("old").check(AUDIENCE).await.unwrap();
    let text = |failure: SignInFailure| failure.to_string();
    let logged_out = tokens("nobody").check(AUDIENCE).await.map_err(text);
    assert_eq!(
        logged_out,
        Err("cannot sign in: `az` says: Please run 'az login' to setup account.".to_owned())
    );
    let chatty = tokens("chatty").check(AUDIENCE).await.map_err(text);
    assert_eq!(chatty, Err("cannot sign in: `az` printed something that is no token".to_owned()));
}

#[cfg(unix)]
#[tokio::test]
async fn the_command_line_may_not_take_for_ever() {
    let cli = synflow::synapse::AzureCli {
        search_path: Some(AZ_FOLDER.to_owned()),
        tenant: Some("slow".to_owned()),
        limit: synflow::time::Delay::from_ms(100),
    };
    let http = Http::new(&HttpSettings::default()).unwrap();
    let tokens = TokenCache::new(synflow::synapse::Credential::AzureCli(cli), http);
    let failure = tokens.check(AUDIENCE).await.unwrap_err();
    assert_eq!(failure.to_string(), "cannot sign in: `az` took longer than 0.1s");
}

#[tokio::test]
async fn with_nothing_at_hand_every_way_says_what_it_lacks() {
    // An address that is taken, so that no other test gets it, and where nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", socket.local_addr().unwrap());
    let surroundings =
        Surroundings::new("http://localhost:1").with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &nobody);
    let failure = surroundings.tokens(None).check(AUDIENCE).await.unwrap_err();
    assert!(failure.is_final());
    assert!(failure.hint().unwrap().contains("az login"));
    let SignInFailure::NoneWorked { tried } = failure else { panic!("{failure}") };
    let want = [
        (AuthMethod::Environment, "AZURE_CLIENT_ID is not set"),
        (AuthMethod::WorkloadIdentity, "AZURE_FEDERATED_TOKEN_FILE is not set"),
        (
            AuthMethod::GitHub,
            "ACTIONS_ID_TOKEN_REQUEST_URL is not set (in GitHub Actions the job needs `permissions: id-token: write`)",
        ),
        (AuthMethod::AzurePipelines, "SYSTEM_OIDCREQUESTURI is not set"),
        (AuthMethod::ManagedIdentity, "this machine has no managed identity"),
        (AuthMethod::AzureCli, "the Azure command line (`az`) is not installed"),
    ];
    let tried: Vec<(AuthMethod, String)> =
        tried.iter().map(|(method, failure)| (*method, failure.reason())).collect();
    assert_eq!(tried, want.map(|(method, text)| (method, text.to_owned())));
}

#[tokio::test]
async fn the_first_that_works_is_kept() {
    let (authority, metadata) = (strict().await, generous().await);
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("AZURE_CLIENT_SECRET", "wrong")
        .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
    let tokens = surroundings.tokens(None);
    assert_eq!(tokens.who(AUDIENCE).await.unwrap().method, AuthMethod::ManagedIdentity);
    assert_eq!(tokens.who("https://other").await.unwrap().method, AuthMethod::ManagedIdentity);
    assert_eq!(authority.requests().len(), 1, "what did not work is not tried again");
    // The first time a probe comes before the request; only a request has the header.
    let headers: Vec<bool> = metadata.requests().iter().map(|it| it.header("metadata").is_some()).collect();
    assert_eq!(headers, [false, true, true]);
}

#[tokio::test]
async fn one_that_is_busy_is_not_passed_over() {
    let authority = server(|_| ("503 Service Unavailable", json!({}))).await;
    let metadata = generous().await;
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("AZURE_CLIENT_SECRET", "right")
        .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
    let failure = surroundings.tokens(None).check(AUDIENCE).await.unwrap_err();
    assert!(matches!(failure, SignInFailure::Busy { .. }), "{failure}");
    assert!(metadata.requests().is_empty());
}

#[tokio::test]
async fn the_one_asked_for_is_the_only_one_tried() {
    let (authority, metadata) = (strict().await, generous().await);
    let surroundings = Surroundings::new(&authority.url())
        .of_an_application()
        .with("AZURE_CLIENT_SECRET", "wrong")
        .with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata.url());
    let failure = surroundings.tokens(AuthMethod::Environment).check(AUDIENCE).await.unwrap_err();
    assert!(matches!(failure, SignInFailure::Refused(_)), "{failure}");
    assert!(metadata.requests().is_empty());
}

#[tokio::test]
async fn the_plans_tenant_and_cloud_count() {
    let authority = generous().await;
    let surroundings =
        Surroundings::new(&authority.url()).of_an_application().with("AZURE_CLIENT_SECRET", "right");
    let settings = SignInSettings {
        cloud: Cloud::China,
        tenant: Some("fabrikam"),
        ..surroundings.settings(Some(AuthMethod::Environment))
    };
    tokens(&settings).check(Cloud::China.audience()).await.unwrap();
    let asked = only(&authority);
    assert_eq!(asked.target, "/fabrikam/oauth2/v2.0/token");
    assert_eq!(form(&asked)["scope"], "https://dev.azuresynapse.azure.cn/.default");
}

#[tokio::test]
async fn an_authority_is_https_or_this_machine() {
    let check = |host: &str, is_taken: bool| {
        let surroundings = Surroundings::new(host);
        assert_eq!(Chain::choose(&surroundings.settings(None)).is_ok(), is_taken, "{host}");
    };
    check("https://login.microsoftonline.us", true);
    check("login.chinacloudapi.cn", true);
    check("http://127.0.0.1:8080", true);
    check("http://login.microsoftonline.com", false);
    check("https://user:word@login.microsoftonline.com", false);
}

#[test]
fn every_way_has_a_name_of_its_own() {
    for method in AuthMethod::ALL {
        assert_eq!(method.name().parse(), Ok(method));
    }
    let failure = "certificate".parse::<AuthMethod>().unwrap_err();
    assert!(failure.contains("environment, workload_identity, github"), "{failure}");
}

#[tokio::test]
async fn no_debug_text_holds_a_secret() {
    let surroundings = Surroundings::new("http://localhost:1")
        .of_an_application()
        .with("AZURE_CLIENT_SECRET", "s3cret")
        .with("ACTIONS_ID_TOKEN_REQUEST_URL", "https://issuer.example/oidc")
        .with("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "s3cret")
        .with("SYSTEM_OIDCREQUESTURI", "https://issuer.example/oidc")
        .with("SYSTEM_ACCESSTOKEN", "s3cret")
        .with("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "connection")
        .with("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi")
        .with("IDENTITY_HEADER", "s3cret");
    let text = format!("{:?}", surroundings.tokens(None));
    assert!(text.contains("connection"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
