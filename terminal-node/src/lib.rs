//! The terminal node: a till daemon that sells offline and syncs in the background.
