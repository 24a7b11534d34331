//! How long work tells how far it has come, without knowing who listens.

/// A listener for the progress of work that is done in steps, perhaps from several threads.
pub trait Progress: Sync {
    /// Begins `what`, which takes `total` steps.
    fn start(&self, what: &str, total: u64);
    /// So many steps more are done.
    fn step(&self, steps: u64);
    /// Ends what was begun last.
    fn finish(&self);
}

/// Listens to nothing.
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: &str, _: u64) {}
    fn step(&self, _: u64) {}
    fn finish(&self) {}
}
