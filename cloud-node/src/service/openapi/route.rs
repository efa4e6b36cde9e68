//! What is told of one method of one path, and what follows from it for every route alike.

use counterfoil_protocol::problem::ErrorCode;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    Till,
    User,
    Operator,
}

/// A parameter of a query: its name, and the schema of its values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) schema: &'static str,
    pub(super) needed: bool,
}

/// What a body is: the name of a schema, or a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON of this schema.
    Json(&'static str),
    /// The same, or a frame of the binary form.
    Framed(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// None.
    Nothing,
}

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) who: Who,
    /// What it does, in one line.
    pub(super) what: &'static str,
    pub(super) query: &'static [Param],
    pub(super) takes: Content,
    pub(super) gives: &'static [(u16, Content)],
    /// What it refuses beside what any route of its kind does.
    pub(super) more: &'static [(u16, ErrorCode)],
    /// The schema of its 422, if that tells more than a problem.
    pub(super) told: Option<&'static str>,
}

use Content::Nothing;
use Who::{Anybody, Operator, Till, User};

impl Route {
    const fn new(
        method: &'static str,
        path: &'static str,
        who: Who,
        what: &'static str,
        gives: &'static [(u16, Content)],
    ) -> Self {
        Self { method, path, who, what, gives, query: &[], takes: Nothing, more: &[], told: None }
    }

    pub(super) const fn asks(self, query: &'static [Param]) -> Self {
        Self { query, ..self }
    }

    pub(super) const fn takes(self, takes: Content) -> Self {
        Self { takes, ..self }
    }

    pub(super) const fn or(self, more: &'static [(u16, ErrorCode)]) -> Self {
        Self { more, ..self }
    }

    pub(super) const fn tells(self, schema: &'static str) -> Self {
        Self { told: Some(schema), ..self }
    }

    /// The names in its path.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Each status of a refusal, with each of its codes.
    pub(super) fn refusals(&self) -> Vec<(u16, ErrorCode)> {
        use ErrorCode::{
            EventInvalid, RateLimited, StorageFailed, TooLarge, Unauthorized, Unavailable,
            VersionUnsupported,
        };
        let mut all = self.more.to_vec();
        all.push((503, Unavailable));
        match self.who {
            Anybody => {}
            Till => all.extend([(401, Unauthorized), (429, RateLimited)]),
            User => all.extend([(401, Unauthorized), (403, Unauthorized), (429, RateLimited)]),
            // A page's request without what proves that it is one.
            Operator => all.extend([(401, Unauthorized), (403, Unauthorized)]),
        }
        if self.who != Anybody {
            all.push((503, StorageFailed));
        }
        if self.takes != Nothing {
            // A body may break off, be too long, of another kind, or not what it should be.
            all.extend([(400, EventInvalid), (413, TooLarge), (415, VersionUnsupported)]);
        }
        if self.who != Anybody
            && (self.takes != Nothing || !self.query.is_empty() || self.names().next().is_some())
        {
            all.push((422, EventInvalid));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

pub(super) const fn get(
    path: &'static str,
    who: Who,
    what: &'static str,
    gives: &'static [(u16, Content)],
) -> Route {
    Route::new("get", path, who, what, gives)
}

pub(super) const fn post(
    path: &'static str,
    who: Who,
    what: &'static str,
    gives: &'static [(u16, Content)],
) -> Route {
    Route::new("post", path, who, what, gives)
}

pub(super) const fn put(
    path: &'static str,
    who: Who,
    what: &'static str,
    gives: &'static [(u16, Content)],
) -> Route {
    Route::new("put", path, who, what, gives)
}

/// A parameter that has to be there.
pub(super) const fn need(name: &'static str, schema: &'static str) -> Param {
    Param { name, schema, needed: true }
}

/// A parameter that may be left out.
pub(super) const fn may(name: &'static str, schema: &'static str) -> Param {
    Param { name, schema, needed: false }
}
