//! `sq`: reads run directories from the mapped files alone; never talks to the engine.

fn main() {}
