//! The deterministic simulator: model level and network level, fault plans, checkers, reports.
