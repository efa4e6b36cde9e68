//! What a program's own `/openapi.json` says of its answers, held against real ones.
//!
//! Only the words of JSON Schema that our documents use are known; another one is a misfit, so
//! that none is passed over. Patterns are not looked at: a generator of requests does that
//! (`cargo xtask schemathesis`).

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::http::Answer;

const JSON: &str = "application/json";

/// A document as a node serves it.
#[derive(Clone, Debug)]
pub struct Document(Value);

/// How strictly fields are looked at that no schema names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// As the schema says: unless it forbids others they are let through.
    AsSaid,
    /// Only what the schema names: an answer tells nothing that is not documented.
    Named,
}

/// The words that say nothing about a value.
const SILENT: [&str; 4] = ["description", "pattern", "format", "properties"];

impl Document {
    /// Takes a document.
    #[must_use]
    pub const fn new(document: Value) -> Self {
        Self(document)
    }

    /// Returns every operation: method, path, and what is said of it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, said)| (method.as_str(), path.as_str(), said))
        })
    }

    /// Returns what is said of a request's route. A path without parts in braces comes first.
    #[must_use]
    pub fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or(path);
        let found = self.operations().filter(|(by, route, _)| {
            by.eq_ignore_ascii_case(method) && crate::manual::same(route, path)
        });
        found.min_by_key(|(_, route, _)| route.matches('{').count()).map(|(_, _, said)| said)
    }

    /// Says why an answer is not as the document says, if it is not.
    #[must_use]
    pub fn undocumented(&self, method: &str, path: &str, answer: &Answer) -> Option<String> {
        let Some(said) = self.operation(method, path) else {
            let known = [404, 405].contains(&answer.status);
            return (!known).then(|| format!("{method} {path} is no route"));
        };
        let at = format!("{method} {path} {}", answer.status);
        let told = self.resolved(&said["responses"][answer.status.to_string()]);
        if !told.is_object() {
            return Some(format!("{at}: no such status"));
        }
        let of = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        for name in told["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            if of(name.as_str()).is_none() {
                return Some(format!("{at}: no {name}"));
            }
        }
        let content = told["content"].as_object().filter(|content| !content.is_empty());
        let (Some(media), Some(content)) = (of("content-type"), content) else {
            let empty = answer.body.is_empty() && content.is_none();
            return (!empty).then(|| format!("{at}: a body of no kind, or none"));
        };
        let Some(kind) = content.get(media) else { return Some(format!("{at}: no {media}")) };
        if !media.ends_with("json") {
            return None;
        }
        let Ok(value) = serde_json::from_slice(&answer.body) else {
            return Some(format!("{at}: no JSON"));
        };
        self.misfit(&kind["schema"], &value, Fields::Named).map(|why| format!("{at}: {why}"))
    }

    /// Says why a body of JSON is not what a route takes, if it is not.
    #[must_use]
    pub fn refuses(&self, method: &str, path: &str, body: &Value) -> Option<String> {
        let Some(said) = self.operation(method, path) else {
            return Some(format!("{method} {path} is no route"));
        };
        let schema = &said["requestBody"]["content"][JSON]["schema"];
        if !schema.is_object() {
            return Some(format!("{method} {path} takes no JSON"));
        }
        self.misfit(schema, body, Fields::AsSaid)
    }

    /// Returns what is referred to, or the value itself.
    #[must_use]
    pub fn resolved<'a>(&'a self, said: &'a Value) -> &'a Value {
        let place = said["$ref"].as_str().map(|place| place.trim_start_matches('#'));
        place.map_or(said, |place| self.0.pointer(place).unwrap_or(&Value::Null))
    }

    /// Says why a value is not as a schema says, if it is not.
    #[must_use]
    pub fn misfit(&self, schema: &Value, value: &Value, fields: Fields) -> Option<String> {
        if schema["$ref"].is_string() {
            let named = self.resolved(schema);
            if !named.is_object() {
                return Some(format!("there is no {}", schema["$ref"]));
            }
            return self.misfit(named, value, fields);
        }
        let words = schema.as_object()?;
        words.iter().find_map(|(word, said)| self.broken(word, said, schema, value, fields))
    }

    /// Says why a value breaks one word of a schema, if it does.
    fn broken(
        &self,
        word: &str,
        said: &Value,
        schema: &Value,
        value: &Value,
        fields: Fields,
    ) -> Option<String> {
        let not = |holds: bool| (!holds).then(|| format!("{value}: not {word} {said}"));
        let count = |of: Option<usize>, least: bool| {
            let bound = said.as_u64().and_then(|bound| usize::try_from(bound).ok());
            match (of, bound) {
                (Some(of), Some(bound)) => not(if least { of >= bound } else { of <= bound }),
                _ => None,
            }
        };
        let chars = value.as_str().map(|text| text.chars().count());
        let items = value.as_array().map(Vec::len);
        match word {
            "type" => not(is_one_of(value, said)),
            "const" => not(value == said),
            "enum" => not(said.as_array().is_some_and(|known| known.contains(value))),
            "minLength" => count(chars, true),
            "maxLength" => count(chars, false),
            "minItems" => count(items, true),
            "maxItems" => count(items, false),
            "minimum" => order(value, said).and_then(|order| not(order.is_ge())),
            "maximum" => order(value, said).and_then(|order| not(order.is_le())),
            "exclusiveMinimum" => order(value, said).and_then(|order| not(order.is_gt())),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .find_map(|item| self.misfit(said, item, fields)),
            "required" => {
                let names = said.as_array().into_iter().flatten().filter_map(Value::as_str);
                let mut missing = names.filter(|name| value.get(name).is_none());
                missing.next().filter(|_| value.is_object()).map(|name| format!("no {name}"))
            }
            "oneOf" => {
                let ways = said.as_array().into_iter().flatten();
                let misfits: Vec<_> = ways.map(|way| self.misfit(way, value, fields)).collect();
                let fit = misfits.iter().filter(|misfit| misfit.is_none()).count();
                (fit != 1).then(|| format!("{value}: {fit} ways of {misfits:?}"))
            }
            "allOf" => {
                let parts = said.as_array().into_iter().flatten();
                let misfit =
                    parts.clone().find_map(|part| self.misfit(part, value, Fields::AsSaid));
                misfit.or_else(|| self.unnamed(schema, value, fields))
            }
            "properties" => {
                let known = said.as_object().into_iter().flatten();
                let misfit = known.clone().find_map(|(name, schema)| {
                    let misfit = self.misfit(schema, value.get(name)?, fields)?;
                    Some(format!("{name}: {misfit}"))
                });
                misfit.or_else(|| self.unnamed(schema, value, fields))
            }
            "additionalProperties" => self.unnamed(schema, value, Fields::Named),
            word if SILENT.contains(&word) => None,
            word => Some(format!("the word {word} is not known here")),
        }
    }

    /// Names a field that no part of a schema names, if there is one.
    fn unnamed(&self, schema: &Value, value: &Value, fields: Fields) -> Option<String> {
        if fields == Fields::AsSaid {
            return None;
        }
        let known = self.names(schema);
        let mut others = value.as_object()?.keys().filter(|name| !known.contains(name.as_str()));
        others.next().map(|name| format!("{name} is unknown"))
    }

    fn names<'a>(&'a self, schema: &'a Value) -> BTreeSet<&'a str> {
        let schema = self.resolved(schema);
        let own = schema["properties"].as_object().into_iter().flatten();
        let parts = schema["allOf"].as_array().into_iter().flatten();
        let own = own.map(|(name, _)| name.as_str());
        own.chain(parts.flat_map(|part| self.names(part))).collect()
    }
}

fn is_one_of(value: &Value, said: &Value) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    if let Value::Array(kinds) = said {
        return kinds.iter().filter_map(Value::as_str).any(is);
    }
    said.as_str().is_some_and(is)
}

/// How two numbers stand to each other: integers exactly.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| v.as_i64().map(i128::from).or_else(|| v.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_misfit_is_named() {
        let document = Document::new(json!({"components": {"schemas": {
            "Name": {"type": "string", "minLength": 1, "maxLength": 3},
            "Base": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
        }}}));
        let name = json!({"$ref": "#/components/schemas/Name"});
        let base = json!({"$ref": "#/components/schemas/Base"});
        let maybe = json!({"oneOf": [name, {"type": "null"}]});
        let strict =
            json!({"type": "object", "properties": {"a": name}, "additionalProperties": false});
        let more = json!({"allOf": [base, {"properties": {"b": {"const": 1}}}]});
        let list = json!({"type": "array", "items": base, "minItems": 1});
        for (schema, value, fits, fits_named) in [
            (&name, json!("ab"), true, true),
            (&name, json!("abcd"), false, false),
            (&name, json!(""), false, false),
            (&name, json!(1), false, false),
            (&maybe, json!(null), true, true),
            (&maybe, json!("a"), true, true),
            (&maybe, json!(1), false, false),
            (&base, json!({"a": 1}), true, true),
            (&base, json!({"a": 1.5}), false, false),
            (&base, json!({"a": 1, "c": 1}), true, false),
            (&base, json!({}), false, false),
            (&strict, json!({"a": "b"}), true, true),
            (&strict, json!({"c": "b"}), false, false),
            (&more, json!({"a": 1, "b": 1}), true, true),
            (&more, json!({"a": 1, "b": 2}), false, false),
            (&more, json!({"a": 1, "b": 1, "c": 1}), true, false),
            (&list, json!([]), false, false),
            (&list, json!([{"a": 1}]), true, true),
            (&json!({"type": "integer", "minimum": 3}), json!(2), false, false),
            (&json!({"type": "number", "exclusiveMinimum": 0}), json!(0.01), true, true),
            (&json!({"type": "integer", "unheardOf": 3}), json!(2), false, false),
            (&json!({"$ref": "#/components/schemas/Gone"}), json!(2), false, false),
        ] {
            for (fields, fits) in [(Fields::AsSaid, fits), (Fields::Named, fits_named)] {
                let misfit = document.misfit(schema, &value, fields);
                assert_eq!(misfit.is_none(), fits, "{schema} {value} {fields:?}: {misfit:?}");
            }
        }
    }
}
