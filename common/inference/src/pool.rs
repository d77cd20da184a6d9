//! A fixed set of things that are lent out one at a time.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lends its items to one borrower each; further borrowers wait.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
    returned: Condvar,
}

impl<T> Pool<T> {
    /// A pool of `items`, of which there must be at least one.
    pub(crate) fn new(items: Vec<T>) -> Self {
        debug_assert!(!items.is_empty());
        Self { idle: Mutex::new(items), returned: Condvar::new() }
    }

    /// Takes an item, waiting until one is idle. It goes back when the loan is dropped, a panic included.
    pub(crate) fn take(&self) -> Loan<'_, T> {
        let mut idle = self.lock();
        loop {
            if let Some(item) = idle.pop() {
                return Loan { pool: self, item: Some(item) };
            }
            idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A vector that is pushed to and popped from is sound whatever happened to another holder of the lock.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item on loan.
#[derive(Debug)]
pub(crate) struct Loan<'p, T> {
    pool: &'p Pool<T>,
    item: Option<T>,
}

impl<T> Deref for Loan<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("a loan holds its item until it is dropped")
    }
}

impl<T> DerefMut for Loan<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.item.as_mut().expect("a loan holds its item until it is dropped")
    }
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        self.pool.lock().extend(self.item.take());
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn an_item_has_one_borrower_and_all_get_their_turn() {
        let pool = Pool::new(vec![0_u32, 0]);
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..50 {
                        let mut item = pool.take();
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        *item += 1;
                        thread::yield_now();
                        at_once.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(pool.idle.lock().unwrap().iter().sum::<u32>(), 400);
    }

    #[test]
    fn a_borrower_that_panics_gives_its_item_back() {
        let pool = Pool::new(vec![7]);
        let panicked = thread::scope(|scope| {
            let borrower = scope.spawn(|| {
                let _item = pool.take();
                panic!("on purpose");
            });
            borrower.join().is_err()
        });
        assert!(panicked);
        assert_eq!(*pool.take(), 7);
    }
}
