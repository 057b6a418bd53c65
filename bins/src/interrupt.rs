//! Ctrl-C in programs that a person runs in a terminal: what was begun is ended in order, by ctrlc's thread.
//!
//! Services have [`crate::signals`], and the client, which starts no thread, its own. Ctrl-C that was ignored at the start, as by a
//! shell for what runs in its background, stays ignored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of who ends because of it.
pub const STATUS: u8 = 130;

/// Whether Ctrl-C was pressed since this was made. Only the first one of a process works.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on it does not end the program.
    pub fn noted() -> Interrupt {
        let interrupt = Interrupt(Arc::default());
        let pressed = Arc::clone(&interrupt.0);
        on(move || pressed.store(true, Ordering::SeqCst));
        interrupt
    }

    /// Whether it was pressed.
    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Does this when it is pressed. Where that cannot be had, it ends the program as it does any other.
pub fn on(action: impl FnMut() + Send + 'static) {
    if let Err(error) = ctrlc::try_set_handler(action) {
        log::debug!("Ctrl-C is not watched: {error}");
    }
}
