//! [`start`]: the threads among which the library shares out its work.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// A shorter text, in bytes, is read by one thread: about a thousand statements.
const READ_ALONE: usize = 32 << 10;

/// Lets this thread and as many more as there are further processors share the work that is to come, until the process
/// ends; where there can be no others, it works alone. Once is enough.
///
/// To be called when that work begins: a thread that is new runs at once, one that has fallen asleep meanwhile is woken
/// late.
pub(super) fn start() {
    static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    THREADS.get_or_init(|| ThreadPoolBuilder::new().use_current_thread().build().ok());
}

/// The same, if reading the text is work to be shared out.
pub(super) fn start_for_reading(text: &[u8]) {
    if text.len() >= READ_ALONE {
        start();
    }
}
