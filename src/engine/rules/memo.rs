//! [`Memo`]: what is made once for each key, when it is first asked for, and shared by all who ask.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// What has been made so far.
#[derive(Debug)]
pub(crate) struct Memo<K, V: ?Sized>(Mutex<FxHashMap<K, Arc<V>>>);

impl<K, V: ?Sized> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: ?Sized> Memo<K, V> {
    /// What belongs to the key. Two that ask for it at once may both make it; they share what was done first.
    pub(crate) fn get<M: Into<Arc<V>>>(&self, key: K, make: impl FnOnce() -> M) -> Arc<V> {
        if let Some(known) = self.known().get(&key) {
            return Arc::clone(known);
        }
        let made = make().into();
        Arc::clone(self.known().entry(key).or_insert(made))
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<K, Arc<V>>> {
        // What is in it was whole when it was put there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
