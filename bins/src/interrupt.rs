//! Ctrl-C in programs run in a terminal: ctrlc's thread ends their work in order.
//!
//! Services use [`crate::signals`]; the client, which starts no thread, has its own module. If Ctrl-C was ignored at
//! the start, as for background jobs of a shell, it stays ignored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit status of a program that ends because of Ctrl-C.
pub const STATUS: u8 = 130;

/// A flag that Ctrl-C sets. Only the first one of a process works.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Registers the flag. From then on Ctrl-C does not end the program.
    pub fn noted() -> Interrupt {
        let interrupt = Interrupt(Arc::default());
        let pressed = Arc::clone(&interrupt.0);
        on(move || pressed.store(true, Ordering::SeqCst));
        interrupt
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_pressed(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs a function when Ctrl-C is pressed. If that cannot be registered, Ctrl-C ends the program as usual.
pub fn on(action: impl FnMut() + Send + 'static) {
    if let Err(error) = ctrlc::try_set_handler(action) {
        log::debug!("Ctrl-C is not watched: {error}");
    }
}
