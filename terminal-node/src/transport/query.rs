//! Names and places as they stand in an address.

use counterfoil_protocol::catalog::EntityId;

pub(super) fn run_query(pinned: Option<u64>, after: Option<EntityId>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(pinned) = pinned {
        query.append_pair("pinned", &pinned.to_string());
    }
    if let Some(after) = after {
        query.append_pair("kind", after.kind.word()).append_pair("id", after.id.as_str());
    }
    query.finish()
}

/// Writes a name so that it can stand between two slashes.
pub(crate) fn segment(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path += &format!("%{byte:02X}");
        }
        path
    })
}
