//! Progress bars, for work that takes over a second, on a terminal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::Progress;

pub struct Bars {
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub fn new(quiet: bool) -> Self {
        Bars { quiet, bar: Mutex::new(None) }
    }

    fn with(&self, f: impl FnOnce(&mut Option<ProgressBar>)) {
        f(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn start(&self, what: &str, total: u64) {
        if self.quiet {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        // The template is a constant that parses.
        let style = ProgressStyle::with_template("  {msg:<12} {bar:32} {pos}/{len}  {elapsed}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what.to_string());
        self.with(|slot| *slot = Some(bar));
    }

    fn step(&self, steps: u64) {
        self.with(|slot| {
            if let Some(bar) = slot {
                // Quick work shows nothing.
                if bar.elapsed() > Duration::from_secs(1) {
                    bar.inc(steps);
                } else {
                    bar.update(|state| state.set_pos(state.pos() + steps));
                }
            }
        });
    }

    fn finish(&self) {
        self.with(|slot| {
            if let Some(bar) = slot.take() {
                bar.finish_and_clear();
            }
        });
    }
}
