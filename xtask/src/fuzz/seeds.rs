//! What targets begin with: the golden bytes of the tests, and what the manuals show. It is made
//! anew each time, so that nothing of it is in the repository twice.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use counterfoil_tests::binaries::root;
use serde_json::{Value, json};

use super::{Target, place};

/// What a target reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Canonical bytes, and JSON.
    Events,
    /// Binary frames.
    Frames,
    /// JSON of messages.
    Json,
    /// The length of a key, the key, a record.
    Rows,
    /// Short texts.
    Texts,
    /// Bodies of S1, S2 and S3.
    Contracts,
    /// Products in CSV.
    Products,
    /// Sales in CSV.
    Sales,
    /// A backup without its digest.
    Backup,
    /// A parcel without its seal.
    Parcels,
    /// A till's bundle.
    Bundle,
    /// A scale, and a number or a time.
    Numbers,
    /// A compressed body.
    Packed,
    /// A cut, and a stream of events.
    Live,
}

type Seeds = BTreeSet<Vec<u8>>;

/// Writes the seeds of a target, and returns their directory.
pub(super) fn write(target: &Target) -> anyhow::Result<PathBuf> {
    let place = place("target/fuzz/seeds", target)?;
    for (number, seed) in of(target.kind)?.iter().enumerate() {
        fs::write(place.join(number.to_string()), seed)?;
    }
    Ok(place)
}

/// Returns the seeds of a kind.
pub(super) fn of(kind: Kind) -> anyhow::Result<Seeds> {
    Ok(match kind {
        Kind::Events => frames()?.into_iter().chain(documents(&snapshots()?)).collect(),
        Kind::Frames => frames()?,
        Kind::Json => documents(&snapshots()?),
        Kind::Rows => pairs()?.into_iter().map(|(key, row)| row_seed(&key, &row)).collect(),
        Kind::Texts => texts(),
        Kind::Contracts => contracts()?,
        Kind::Products => lines(&PRODUCTS),
        Kind::Sales => lines(&SALES),
        Kind::Backup => backups()?,
        Kind::Parcels => parcels()?,
        Kind::Bundle => bundles(),
        Kind::Numbers => (0..4).flat_map(numbers).collect(),
        Kind::Packed => packed()?,
        Kind::Live => STREAMS.iter().map(|text| [&[9], text.as_bytes()].concat()).collect(),
    })
}

/// The golden snapshots, without their heads.
fn snapshots() -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(root().join("protocol/tests/snapshots"))? {
        let text = fs::read_to_string(entry?.path())?;
        texts.push(text.splitn(3, "---").nth(2).unwrap_or(&text).to_owned());
    }
    Ok(texts)
}

/// The words of a text that are bytes in hexadecimal.
fn bytes_in(text: &str) -> impl Iterator<Item = Vec<u8>> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter_map(|word| {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = word.as_bytes().chunks(2).map(pair).collect();
        bytes.filter(|bytes| !bytes.is_empty())
    })
}

fn frames() -> anyhow::Result<Seeds> {
    Ok(snapshots()?.iter().flat_map(|text| bytes_in(text)).collect())
}

/// Each bytes with those after it: where rows are, a key and its record.
fn pairs() -> anyhow::Result<BTreeSet<(Vec<u8>, Vec<u8>)>> {
    let mut pairs = BTreeSet::new();
    for text in snapshots()? {
        let bytes: Vec<_> = bytes_in(&text).collect();
        pairs.extend(bytes.windows(2).map(|pair| (pair[0].clone(), pair[1].clone())));
    }
    Ok(pairs)
}

fn row_seed(key: &[u8], row: &[u8]) -> Vec<u8> {
    let length = u8::try_from(key.len()).unwrap_or(u8::MAX);
    [&[length], key, row].concat()
}

/// The objects of JSON in texts, each as one line.
fn documents(texts: &[String]) -> Seeds {
    let mut found = Seeds::new();
    for text in texts {
        let mut rest = text.as_str();
        while let Some(at) = rest.find('{') {
            rest = &rest[at..];
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    found.insert(value.to_string().into_bytes());
                    rest = &rest[values.byte_offset()..];
                }
                Some(Err(_)) | None => rest = &rest[1..],
            }
        }
    }
    found
}

fn lines(texts: &[&str]) -> Seeds {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn texts() -> Seeds {
    let (zeros, digits) = ("0".repeat(64), "ab".repeat(32));
    let heads =
        format!("catalog=300; entities=2; digest={digits}; inbox=7; chain={zeros}; acked=6");
    let witness = "counterfoil witness 1\ninstall 00000000000000ab\nboot 0102030405060708\n";
    let mut found = lines(&["1\tedit-17\n2\ta b", "tea", "GBP", witness, &digits, &heads]);
    found.insert(json!({"kind": "product", "id": "tea"}).to_string().into_bytes());
    found
}

/// What the manuals send, and what the contracts show.
fn contracts() -> anyhow::Result<Seeds> {
    let manuals = ["docs/api.md", "docs/integrate.md"];
    let manuals: Result<Vec<String>, _> =
        manuals.iter().map(|name| fs::read_to_string(root().join(name))).collect();
    let mut found = documents(&manuals?);
    let sale = |id: &str| {
        json!({"clientTempId": id, "items": [{"productId": "tea", "quantity": 2, "price": 15.99,
            "discountPercent": 12.5}], "totalAmount": 27.98, "customerId": "c",
            "createdAt": "2024-01-15T10:30:00Z"})
    };
    let adjusted = json!({"uuid": "j", "productId": "tea", "quantity": -1.5,
        "createdAt": "2024-01-15T10:30:00.250+01:00"});
    let command = json!({"command_id": "k", "type": "CREATE_TRANSACTION", "entity_id": "a",
        "payload": sale("a")});
    let changes = json!({"sales": [sale("b")], "adjustments": [adjusted], "commands": [command],
        "products": [{"uuid": "tea"}]});
    for body in [
        json!({"sales": [sale("a"), sale("b")]}),
        json!({"sync_id": "r", "changes": changes}),
        command,
    ] {
        found.insert(body.to_string().into_bytes());
    }
    Ok(found)
}

/// Backups of the golden rows: none, one, all.
fn backups() -> anyhow::Result<Seeds> {
    let rows: std::collections::BTreeMap<_, _> = pairs()?.into_iter().collect();
    let backup = |count: usize| {
        let mut bytes = b"counterfoil backup 1\n".to_vec();
        let mut written = 0_u64;
        for (key, row) in rows.iter().filter(|(key, _)| key.len() <= 200).take(count) {
            bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&u32::try_from(row.len()).unwrap_or(0).to_le_bytes());
            bytes.extend_from_slice(row);
            written += 1;
        }
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&written.to_le_bytes());
        bytes
    };
    Ok([0, 1, 2, 40].into_iter().map(backup).collect())
}

fn parcels() -> anyhow::Result<Seeds> {
    let parcels = frames()?.into_iter().filter(|bytes| bytes.starts_with(b"CFPARCEL"));
    let mut seeds: Seeds =
        parcels.map(|bytes| bytes[..bytes.len().saturating_sub(32)].to_vec()).collect();
    seeds.insert(b"CFPARCEL\x01O\x03T-1".to_vec());
    Ok(seeds)
}

fn bundles() -> Seeds {
    let epoch = |number: u32| json!({"number": number, "nonce": 7});
    let entry = |number: u32, seq: u64, state: Value| {
        json!({"epoch": epoch(number), "seq": seq, "register": "~front", "event": "~a",
            "kind": "sale", "atMs": 1_500, "state": state})
    };
    let synced = || json!({"synced": "~id"});
    let note = |what: Value| json!({"number": 1, "atMs": 1_000, "what": what});
    let offered = note(json!({"kind": "offered", "epoch": epoch(1), "times": 1, "lastMs": 1_000,
        "runs": [{"first": 1, "count": 1, "outcome": "created"}]}));
    let carried = note(json!({"kind": "carried", "from": epoch(1),
        "runs": [{"first": 2, "count": 1}]}));
    let parted = note(json!({"kind": "parted", "why": "forked", "epoch": epoch(2)}));
    let bundle = |epoch: Value, head: u64, closed: Value, entries: Value, diary: Value| {
        let names = json!({"shop": "~shop", "branch": "~branch", "terminal": "~terminal"});
        let till = json!({"identity": names, "epoch": epoch, "head": head, "acked": head,
            "closed": closed, "quarantined": null, "pending": 0, "needsAttention": 0, "queue": [],
            "entries": entries, "diary": diary, "memory": []});
        json!({"bundle": 2, "madeMs": 99_000, "daemon": false, "till": till})
    };
    let moved = json!({"moved": {"epoch": epoch(2), "seq": 1}});
    let closed = json!([{"epoch": epoch(1), "head": 2, "kept": 1}]);
    let entries = json!([entry(1, 1, synced()), entry(1, 2, moved), entry(2, 1, synced())]);
    [
        bundle(epoch(1), 0, json!([]), json!([]), json!([])),
        bundle(epoch(1), 1, json!([]), json!([entry(1, 1, synced())]), json!([offered])),
        bundle(epoch(2), 1, closed, entries, json!([offered, parted, carried])),
    ]
    .iter()
    .map(|bundle| bundle.to_string().into_bytes())
    .collect()
}

fn numbers(scale: u8) -> impl Iterator<Item = Vec<u8>> {
    let known = ["15.99", "-0.10", "1.599e1", "1e30", "9223372036854775807", "0e-30"];
    let times = ["2024-01-15T10:30:00Z", "1970-01-01t00:00:00.000+01:00", "9999-12-31T23:59:60Z"];
    known.into_iter().chain(times).map(move |text| [&[scale], text.as_bytes()].concat())
}

fn packed() -> anyhow::Result<Seeds> {
    let mut found = Seeds::new();
    for frame in frames()?.into_iter().filter(|frame| frame.len() > 40).take(20) {
        found.insert(zstd::bulk::compress(&frame, 1)?);
    }
    // Much of nothing: what must not be unpacked whole.
    found.insert(zstd::bulk::compress(&vec![0; 4 << 20], 19)?);
    Ok(found)
}

const PRODUCTS: [&str; 3] = [
    "productId,name,price,currency\ntea,Tea,2.55,GBP\n",
    "productId,name,price,currency,taxPercent,unit,category,barcodes,active,lowStock\n\
     tea,\"Tea, green\",2.55,GBP,20,pcs,drinks,4001 4002,true,3\nmilk,Milk,100,JPY,,,,,no,\n",
    "name,productId,currency,price\n\"a \"\"b\"\"\",c,KWD,0.001\r\n",
];

const SALES: [&str; 3] = [
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
     536365,85123A,WHITE HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom\n",
    "C536379,D,Discount,-1,12/1/2010 9:41,27.50,14527,United Kingdom\n\
     536589,21777,,-10,12/1/2010 16:50,0,,United Kingdom\n\n",
    "536370,POST,\"POSTAGE, \"\"air\"\"\",3,2/29/2012 23:59,18.00,12583,France\r\n",
];

const STREAMS: [&str; 3] = [
    "event: news\ndata: {\"catalog\": 3, \"inbox\": 7}\n\n",
    ": beat\n\nevent: verify\ndata: {\"runId\": \"a1\"}\n\n",
    "data:{\"catalog\":3,\"inbox\":7}\nevent:news\n\nevent: news\ndata: {}\n\n",
];
