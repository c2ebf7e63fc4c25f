//! Measurements of the hot path, each beside a naive peer in the same run; never part of the engine.
