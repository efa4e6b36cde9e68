//! Draws requests of a route from what its document says: some as it says, some nearly so, some of
//! any bytes.

use counterfoil_tests::openapi::Document;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{Union, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Number, Value};

const BINARY: &str = "application/vnd.counterfoil.v1+bincode";

/// Names that mean something to the node: those that stand for the caller are left to its own
/// routes, or the first revocation would end the test.
const NAMES: [&str; 8] = ["shop", "north", "tea", "T-2", "berta", "0", "~", "a b"];
/// Those that stand for the caller.
const OWN: [&str; 2] = ["T-1", "anna"];
const TEXTS: [&str; 9] = [
    "",
    "GBP",
    "JPY",
    "2024-01-15T10:30:00Z",
    "2024-02-30T25:00:00Z",
    "9999-12-31T23:59:59.999Z",
    "day,branch,product",
    "\u{0}\u{7f}\u{202e}",
    "\u{1f600}\u{1f600}",
];

/// The columns of a file of products.
const COLUMNS: &str =
    "productId,name,price,currency,taxPercent,unit,category,barcodes,active,lowStock";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Draws requests of one route.
pub(crate) struct Drawer {
    runner: TestRunner,
    path: BoxedStrategy<String>,
    body: BoxedStrategy<Vec<u8>>,
    media: BoxedStrategy<Option<&'static str>>,
}

impl Drawer {
    /// What is drawn follows from the number of the route.
    pub(crate) fn new(document: &Document, number: u64, route: &str, said: &Value) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let own = !route.starts_with("/v1/admin/");
        let draws = Draws { document, own };
        Self {
            runner: TestRunner::new_with_rng(Config::default(), rng),
            path: draws.path(route, said),
            body: draws.body(said),
            media: media(said),
        }
    }

    /// Draws the next one.
    pub(crate) fn next(&mut self, token: Option<&str>) -> Drawn {
        let extras = extras();
        let strategy = (&self.path, &self.body, &self.media, extras);
        let tree = strategy.new_tree(&mut self.runner).expect("nothing is rejected");
        let (path, body, media, extra) = tree.current();
        let mut headers: Vec<(&'static str, String)> = Vec::new();
        headers.extend(token.map(|token| ("authorization", format!("Bearer {token}"))));
        headers.extend(media.map(|media| ("content-type", media.to_owned())));
        headers.push(("x-shop-id", "shop".to_owned()));
        headers.extend(extra.map(|(name, value)| (name, value.to_owned())));
        Drawn { path, headers, body }
    }
}

/// A kind that fits most often.
fn media(said: &Value) -> BoxedStrategy<Option<&'static str>> {
    let csv = said["requestBody"]["content"]["text/csv"].is_object();
    let own = if csv { "text/csv" } else { "application/json" };
    prop_oneof![
        17 => Just(Some(own)),
        1 => Just(Some(BINARY)),
        1 => select(vec![Some("text/plain"), Some("application/json; charset=latin1"), Some("")]),
        1 => Just(None),
    ]
    .boxed()
}

fn extras() -> BoxedStrategy<Option<(&'static str, &'static str)>> {
    let odd = vec![
        ("content-encoding", "zstd"),
        ("content-encoding", "gzip"),
        ("accept", BINARY),
        ("accept-encoding", "zstd"),
        ("accept-encoding", "zstd;q=0, *;q=1e9"),
        ("x-request-id", ""),
        ("x-sync-attempt", "-1"),
        ("x-till-status", "1.0; pending 99999999999999999999; oldest -1; clock x"),
        ("cookie", "counterfoil-session=0; counterfoil-session"),
        ("if-none-match", "\"\", W/\"x\", *"),
        ("expect", "100-continue"),
    ];
    prop_oneof![4 => Just(None), 1 => select(odd).prop_map(Some)].boxed()
}

/// What draws values.
struct Draws<'a> {
    document: &'a Document,
    own: bool,
}

impl Draws<'_> {
    fn names(&self) -> Vec<&'static str> {
        NAMES.into_iter().chain(OWN.into_iter().filter(|_| self.own)).collect()
    }

    fn text(&self) -> BoxedStrategy<String> {
        let known: Vec<&str> = self.names().into_iter().chain(TEXTS).collect();
        prop_oneof![
            12 => select(known).prop_map(str::to_owned),
            4 => "[ -~]{1,36}",
            1 => "\\PC{0,40}",
            1 => (0_usize..5_000).prop_map(|count| "x".repeat(count)),
        ]
        .boxed()
    }

    /// The path with names in it, and a query.
    fn path(&self, route: &str, said: &Value) -> BoxedStrategy<String> {
        let parts = route.split('/').map(|part| {
            let named = part.starts_with('{');
            if named {
                self.text().prop_map(|text| escaped(&text)).boxed()
            } else {
                Just(part.to_owned()).boxed()
            }
        });
        let parts: Vec<_> = parts.collect();
        let asked = said["parameters"].as_array().into_iter().flatten();
        let asked = asked.filter(|asked| asked["in"] == "query").map(|asked| {
            let name = asked["name"].as_str().expect("a name").to_owned();
            let value = self
                .value(&asked["schema"], 0)
                .prop_map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let value = prop_oneof![9 => value, 1 => self.text()];
            let times = prop_oneof![1 => Just(0_usize), 8 => Just(1), 1 => Just(2)];
            (Just(name), vec(value, 2), times).prop_map(|(name, values, times)| {
                values
                    .iter()
                    .take(times)
                    .map(|value| format!("{name}={}", escaped(value)))
                    .collect()
            })
        });
        let asked: Vec<BoxedStrategy<Vec<String>>> = asked.map(Strategy::boxed).collect();
        let odd = prop_oneof![
            18 => Just(None),
            1 => self.text().prop_map(|text| Some(escaped(&text))),
            1 => Just(Some("%ff=%00&&=".to_owned())),
        ];
        (parts, asked, odd)
            .prop_map(|(parts, asked, odd)| {
                let asked: Vec<String> = asked.into_iter().flatten().chain(odd).collect();
                let path = parts.join("/");
                if asked.is_empty() { path } else { format!("{path}?{}", asked.join("&")) }
            })
            .boxed()
    }

    fn body(&self, said: &Value) -> BoxedStrategy<Vec<u8>> {
        let content = &said["requestBody"]["content"];
        if !content.is_object() {
            return prop_oneof![9 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..64)].boxed();
        }
        let schema = &content["application/json"]["schema"];
        let whole = if schema.is_object() {
            self.value(schema, 0).prop_map(|value| value.to_string().into_bytes()).boxed()
        } else {
            self.table()
        };
        let broken =
            (whole.clone(), any::<prop::sample::Index>(), vec(any::<u8>(), 0..4), 0_usize..4)
                .prop_map(|(mut body, at, put, cut)| {
                    let at = if body.is_empty() { 0 } else { at.index(body.len()) };
                    let end = (at + cut).min(body.len());
                    body.splice(at..end, put);
                    body
                });
        let deep = (1_usize..3_000).prop_map(|depth| "[".repeat(depth).into_bytes());
        let nested = (1_usize..200).prop_map(|depth| {
            let value = format!("{}1{}", "{\"sales\":[".repeat(depth), "]}".repeat(depth));
            value.into_bytes()
        });
        // The first byte of a frame is its version.
        let frame = vec(any::<u8>(), 0..600).prop_map(|mut bytes| {
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            bytes
        });
        prop_oneof![
            12 => whole,
            4 => broken,
            1 => vec(any::<u8>(), 0..300),
            1 => frame,
            1 => deep,
            1 => nested,
        ]
        .boxed()
    }

    /// A file of products.
    fn table(&self) -> BoxedStrategy<Vec<u8>> {
        let head = prop_oneof![
            4 => Just(COLUMNS),
            1 => Just("productId,name,price,currency"),
            1 => Just("name,name,,\""),
        ];
        let number = select(vec!["1.00", "-1", "0.001", "1e400", "99999999999999999999"]);
        let cell = prop_oneof![6 => self.text(), 4 => number.prop_map(str::to_owned)];
        let cell = cell.prop_map(|text| text.replace(['"', '\n'], ""));
        let cell = prop_oneof![8 => cell, 1 => Just("\"".to_owned())];
        let row = vec(cell, 0..12).prop_map(|cells| cells.join(","));
        let good = Just("tea,Tea,2.55,GBP,20,pcs,drinks,4001,true,3".to_owned());
        (head, vec(prop_oneof![2 => row, 3 => good], 0..4))
            .prop_map(|(head, rows)| format!("{head}\n{}", rows.join("\n")).into_bytes())
            .boxed()
    }

    /// A value that is as the schema says, but for the lengths of texts.
    fn value(&self, schema: &Value, depth: u32) -> BoxedStrategy<Value> {
        let schema = self.document.resolved(schema);
        if let Some(ways) = schema["oneOf"].as_array() {
            return Union::new(ways.iter().map(|way| self.value(way, depth + 1))).boxed();
        }
        if let Some(known) = schema["enum"].as_array() {
            return select(known.clone()).boxed();
        }
        let kinds = match schema["type"].as_array() {
            Some(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            None => vec![schema["type"].as_str().unwrap_or("any")],
        };
        Union::new(kinds.into_iter().map(|kind| self.of_kind(kind, schema, depth))).boxed()
    }

    fn of_kind(&self, kind: &str, schema: &Value, depth: u32) -> BoxedStrategy<Value> {
        match kind {
            "null" => Just(Value::Null).boxed(),
            "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
            "integer" => integer(),
            "number" => decimal(),
            "string" => self.string(schema),
            "array" => {
                let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
                let most = schema["maxItems"].as_u64().unwrap_or(4).min(4) as usize;
                let item = self.value(&schema["items"], depth + 1);
                vec(item, least..=least.max(most)).prop_map(Value::Array).boxed()
            }
            "object" => self.object(schema, depth),
            _ => prop_oneof![Just(Value::Null), integer(), Just(Value::Object(Map::new()))].boxed(),
        }
    }

    fn string(&self, schema: &Value) -> BoxedStrategy<Value> {
        let digits = |count: usize| {
            let drawn = vec(select(b"0123456789abcdef".to_vec()), count);
            drawn.prop_map(|digits| Value::String(digits.into_iter().map(char::from).collect()))
        };
        match schema["pattern"].as_str() {
            Some("^[0-9a-f]{64}$") => {
                prop_oneof![4 => digits(64), 1 => Just(Value::String("0".repeat(64)))].boxed()
            }
            Some("^[0-9a-f]{16}$") => digits(16).boxed(),
            Some("^[A-Z]{3}$") => {
                select(vec!["GBP", "EUR", "JPY", "KWD"]).prop_map(Into::into).boxed()
            }
            Some(_) if schema["maxLength"] == 36 => {
                let known = select(self.names()).prop_map(Value::from);
                prop_oneof![9 => known, 1 => self.text().prop_map(Value::from)].boxed()
            }
            Some(_) | None => self.text().prop_map(Value::from).boxed(),
        }
    }

    /// Every field that has to be there, most of the others; seldom one too few or too many.
    fn object(&self, schema: &Value, depth: u32) -> BoxedStrategy<Value> {
        let needed: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = schema["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, schema)| {
            let there = if needed.contains(&name.as_str()) { 0.995 } else { 0.6 };
            let value = prop::option::weighted(there, self.value(schema, depth + 1));
            (Just(name.clone()), value)
        });
        let fields: Vec<_> = fields.collect();
        let odd = prop::option::weighted(0.01, (self.text(), integer()));
        (fields, odd)
            .prop_map(|(fields, odd)| {
                let known = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
                Value::Object(known.chain(odd).collect())
            })
            .boxed()
    }
}

fn integer() -> BoxedStrategy<Value> {
    prop_oneof![
        8 => (0_u64..4).prop_map(Value::from),
        4 => (0_u64..5_000_000).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => select(vec![i64::MIN, -1, i64::MAX, 1_000_000_000_000]).prop_map(Value::from),
    ]
    .boxed()
}

/// A number as a client writes it.
fn decimal() -> BoxedStrategy<Value> {
    let written = select(vec!["15.99", "0.005", "1e3", "-0.0", "1e308", "31.98", "0.1", "2.5"]);
    let written = written.prop_map(|text| {
        let number: Option<Number> = serde_json::from_str(text).ok();
        number.map_or(Value::Null, Value::Number)
    });
    prop_oneof![1 => written, 2 => (1_u64..50).prop_map(Value::from)].boxed()
}

/// Percent-encoded, whatever it is.
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
