//! Values of TLA+, written as short as the specification writes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tla_checker::ast::Value;

/// A number, of whatever kind the code counts with.
pub(super) fn int(number: impl TryInto<i64>) -> Value {
    Value::Int(number.try_into().unwrap_or(i64::MAX))
}

pub(super) const fn truth(holds: bool) -> Value {
    Value::Bool(holds)
}

pub(super) fn text(text: &str) -> Value {
    Value::Str(Arc::from(text))
}

/// `<<a, b, c>>`; also a function whose domain is `1 .. n`.
pub(super) fn sequence(values: impl IntoIterator<Item = Value>) -> Value {
    Value::tuple(values.into_iter().collect())
}

/// `{a, b, c}`
pub(super) fn set(values: impl IntoIterator<Item = Value>) -> Value {
    Value::set(values.into_iter().collect())
}

/// `[a |-> 1, b |-> 2]`
pub(super) fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::record(fields.into_iter().map(|(name, value)| (Arc::from(name), value)).collect())
}

/// Returns where two values differ, as paths with what stands there: a few of them.
pub(super) fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, found, &mut all);
    all.truncate(4);
    all
}

fn compare(path: &str, expected: &Value, found: &Value, all: &mut Vec<String>) {
    if expected == found {
        return;
    }
    match (expected, found) {
        (Value::Record(a), Value::Record(b)) if same_keys(a, b) => {
            for ((name, a), b) in a.iter().zip(b.values()) {
                compare(&format!("{path}.{name}"), a, b, all);
            }
        }
        (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
            for (at, (a, b)) in (1..).zip(a.iter().zip(b.iter())) {
                compare(&format!("{path}[{at}]"), a, b, all);
            }
        }
        (Value::Set(a), Value::Set(b)) => {
            let only = |a: &Value| tla_checker::checker::format_value(a);
            all.extend(a.difference(b).map(|a| format!("{path} lacks {}", only(a))));
            all.extend(b.difference(a).map(|b| format!("{path} has {}", only(b))));
        }
        _ => {
            let [a, b] = [expected, found].map(tla_checker::checker::format_value);
            all.push(format!("{path} is {b}, and should be {a}"));
        }
    }
}

fn same_keys(a: &BTreeMap<Arc<str>, Value>, b: &BTreeMap<Arc<str>, Value>) -> bool {
    a.keys().eq(b.keys())
}
