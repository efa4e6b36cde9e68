//! Workspace tests: end to end with real processes, tidy rules, the shared test data.
