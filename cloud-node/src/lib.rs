//! The cloud node: HTTP over the cloud role, group commit, operator commands.
