//! A node as a client of its own making sees it.

use std::path::Path;

use counterfoil_tests::binaries::{self, Profile};
use counterfoil_tests::cloud::Cloud;
use counterfoil_tests::http::{Answer, ask_with};
use counterfoil_tests::openapi::Document;
use counterfoil_tests::postgres::Cluster;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const OPERATOR: &str = "an operator's token";
pub(crate) const JSON: &str = "application/json";
const SCOPES: [&str; 3] = ["sales:create", "stock:adjust", "catalog:read"];

/// Where a node keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// As `COUNTERFOIL_CONTRACT_STORE` says (as on the command line, with `{}` for a new
    /// directory), or sled.
    Named,
    /// A database of its own on a server of the test's own.
    Postgres,
}

impl Store {
    fn location(self, directory: &Path) -> String {
        match self {
            Self::Named => {
                let named = std::env::var("COUNTERFOIL_CONTRACT_STORE");
                let named = named.unwrap_or_else(|_| "sled:{}".into());
                named.replace("{}", &directory.join("cloud").display().to_string())
            }
            Self::Postgres => Cluster::shared().database().expect("a database"),
        }
    }
}

/// A node, and what a client knows of it.
pub(crate) struct Contract {
    pub(crate) cloud: Cloud,
    pub(crate) address: String,
    /// Of a user with every scope.
    pub(crate) token: String,
    /// What the node says of itself; every answer is held against it.
    pub(crate) document: Document,
    directory: TempDir,
}

impl Contract {
    pub(crate) async fn new(store: Store) -> Self {
        Self::with(store, &["--rate", "0", "--byte-rate", "0"]).await
    }

    /// A node whose shop sells coffee, and a user of it.
    pub(crate) async fn with(store: Store, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let location = store.location(directory.path());
        Self::at(location, directory, arguments).await
    }

    /// The same at a location.
    pub(crate) async fn at(location: String, directory: TempDir, arguments: &[&str]) -> Self {
        let programs = binaries::build(Profile::Test).expect("the programs are built");
        let token = directory.path().join("operator");
        std::fs::write(&token, OPERATOR).expect("a file");
        let log = directory.path().join("cloud.log");
        let cloud = Cloud::new(&programs.cloud, location, log).with_operator(token);
        let mut cloud = cloud.with_arguments(arguments);
        let token = cloud.add_user("shop", "north", "anna", &SCOPES).await.expect("a user");
        let address = cloud.start("127.0.0.1:0").await.expect("the cloud serves");
        let told = ask_with(&address, "GET", "/openapi.json", &[], Vec::new()).await;
        let document = Document::new(told.expect("an answer").json().expect("JSON"));
        let contract = Self { cloud, address, token, document, directory };
        contract.define("product-uuid").await;
        contract
    }

    pub(crate) async fn define(&self, product: &str) {
        let wish = json!({"shopId": "shop", "productId": product});
        assert_eq!(self.operate("POST", "/v1/admin/products", &wish).await.status, 201);
    }

    /// Asks with these headers and no others. Whatever the answer is, it is a documented one.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let answer = ask_with(&self.address, method, path, headers, body).await;
        let answer = answer.unwrap_or_else(|error| {
            let said = std::fs::read_to_string(self.directory.path().join("cloud.log"));
            panic!("{method} {path}: {error:#}; the node said: {}", said.unwrap_or_default())
        });
        let undocumented = self.document.undocumented(method, path, &answer);
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(undocumented, None, "{said}");
        answer
    }

    /// Asks with JSON as whoever has this token. What is sent is what the document says.
    pub(crate) async fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        assert_eq!(self.document.refuses(method, path, body), None, "{body}");
        let token = format!("Bearer {token}");
        let headers = [("authorization", &*token), ("content-type", JSON)];
        self.ask(method, path, &headers, body.to_string().into_bytes()).await
    }

    pub(crate) async fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, OPERATOR, body).await
    }

    /// Asks without a body as whoever has this token.
    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let token = format!("Bearer {token}");
        self.ask("GET", path, &[("authorization", &*token)], Vec::new()).await
    }

    pub(crate) async fn sync(&self, body: &Value) -> Answer {
        let token = format!("Bearer {}", self.token);
        let headers = [("authorization", &*token), ("content-type", JSON), ("x-shop-id", "shop")];
        self.ask("POST", "/api/pos/sync", &headers, body.to_string().into_bytes()).await
    }

    /// Enrols a till, and returns its credential.
    pub(crate) async fn enrol(&self, terminal: &str) -> String {
        let wish = json!({"terminalId": terminal, "shopId": "shop", "branchId": "north"});
        let told = self.operate("POST", "/v1/admin/terminals", &wish).await;
        let told: Value = told.json().expect("JSON");
        told["token"].as_str().expect("a credential").to_owned()
    }

    pub(crate) async fn operator(&self, path: &str) -> Value {
        let told = self.get(path, OPERATOR).await;
        assert_eq!(told.status, 200, "{path}");
        told.json().expect("JSON")
    }

    /// Kills the node without warning, and starts it again where clients expect it.
    pub(crate) async fn crash(&mut self) {
        self.cloud.kill().await.expect("killed");
        self.address = self.cloud.start(&self.address).await.expect("the cloud serves again");
    }

    /// Ends it, and checks its books.
    pub(crate) async fn close(mut self) -> u64 {
        self.cloud.stop().await.expect("it ends in peace");
        let check = self.cloud.check().await.expect("the books are in order");
        assert_eq!(check.problems_found, 0, "{check:?}");
        check.posted
    }
}

/// Brings sales as the document's client does, which may find nobody.
pub(crate) async fn sync(
    address: &str,
    token: &str,
    shop: &str,
    body: &Value,
) -> anyhow::Result<Answer> {
    let token = format!("Bearer {token}");
    let headers = [("authorization", &*token), ("content-type", JSON), ("x-shop-id", shop)];
    ask_with(address, "POST", "/api/pos/sync", &headers, body.to_string().into_bytes()).await
}

/// The code of a problem.
pub(crate) fn code(answer: &Answer) -> String {
    let told: Value = answer.json().expect("a problem document");
    told["code"].as_str().expect("a code").to_owned()
}

/// For how long a caller is told to wait.
pub(crate) fn wait(answer: &Answer) -> std::time::Duration {
    let said = answer.headers.get("retry-after").and_then(|value| value.to_str().ok());
    let secs: u64 = said.and_then(|text| text.parse().ok()).expect("a number of seconds");
    assert!((1..=120).contains(&secs), "a wait that can be waited for: {secs} s");
    std::time::Duration::from_secs(secs)
}

/// The body of the document, byte for byte.
pub(crate) fn example() -> Value {
    serde_json::from_str(
        r#"{
  "sales": [
    {
      "clientTempId": "uuid-generated-by-client",
      "items": [
        {
          "productId": "product-uuid",
          "quantity": 2,
          "price": 15.99,
          "discountPercent": 0
        }
      ],
      "totalAmount": 31.98,
      "customerId": "optional-customer-uuid",
      "createdAt": "2024-01-15T10:30:00Z"
    }
  ]
}"#,
    )
    .expect("the document's example")
}

/// The same under another name.
pub(crate) fn sale(id: &str) -> Value {
    let mut sale = example()["sales"][0].clone();
    sale["clientTempId"] = json!(id);
    sale
}
