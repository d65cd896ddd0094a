//! The connections of a worker, and who leaves when there is no place for another one.
//!
//! A worker that has as many connections as it may have accepts nobody, so that whoever comes waits
//! until somebody goes. When its last place is taken, the connection that has been idle longest is
//! ended: between two requests, where either side may end it at any time. One on which a request is
//! under way, or an answer, never is, nor is the one that came last before it had an answer. All that is kept of a connection is a number that rises with
//! what is read and written; connections are looked through only when there are too many.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Context;

use super::Heard;

/// The connections of one worker.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    moment: Cell<u64>,
    /// The number of the one that came last.
    newest: Cell<u64>,
    /// Those who were asked to leave and are still here.
    leaving: Cell<usize>,
    here: RefCell<HashMap<u64, Rc<Heard>>>,
}

impl Crowd {
    /// Nobody yet, and room for `most`.
    pub fn new(most: usize) -> Rc<Self> {
        let (moment, newest, leaving) = (Cell::default(), Cell::default(), Cell::default());
        Rc::new(Self { most, moment, newest, leaving, here: RefCell::default() })
    }

    /// A connection comes.
    pub fn enter(self: &Rc<Self>) -> Place {
        let (number, heard) = (self.next_moment(), Rc::<Heard>::default());
        heard.last.set(number);
        self.newest.set(number);
        self.here.borrow_mut().insert(number, Rc::clone(&heard));
        self.make_room();
        Place { crowd: Rc::clone(self), number, heard }
    }

    fn next_moment(&self) -> u64 {
        let next = self.moment.get().wrapping_add(1);
        self.moment.set(next);
        next
    }

    fn is_full(&self) -> bool {
        self.here.borrow().len() >= self.most.saturating_add(self.leaving.get())
    }

    /// Asks the one that is idle longest to leave, where there is no place left.
    fn make_room(&self) {
        if !self.is_full() {
            return;
        }
        let here = self.here.borrow();
        let has_just_come =
            |number: u64, heard: &Heard| heard.fresh.get() && number == self.newest.get();
        let idle = here
            .iter()
            .filter(|(number, heard)| heard.may_leave() && !has_just_come(**number, heard));
        let longest = idle.min_by_key(|(_, heard)| heard.last.get());
        let longest = longest.map(|(_, heard)| Rc::clone(heard));
        drop(here);
        if let Some(heard) = longest {
            heard.leaving.set(true);
            self.leaving.set(self.leaving.get().saturating_add(1));
            if let Some(waker) = heard.waker.take() {
                waker.wake();
            }
        }
    }

    fn one_leaves_no_more(&self) {
        self.leaving.set(self.leaving.get().saturating_sub(1));
    }
}

/// A place among the connections of a worker; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Rc<Crowd>,
    number: u64,
    heard: Rc<Heard>,
}

impl Place {
    /// What the connection's requests tell.
    pub fn heard(&self) -> &Rc<Heard> {
        &self.heard
    }

    /// Bytes were read: who was to leave stays, and somebody else goes.
    pub fn has_read(&self) {
        self.moved();
        if self.heard.leaving.replace(false) {
            self.crowd.one_leaves_no_more();
            self.crowd.make_room();
        }
    }

    /// Bytes were read or written.
    pub fn moved(&self) {
        self.heard.last.set(self.crowd.next_moment());
    }

    /// All was written; who is idle now may be the one to go.
    pub fn settled(&self) {
        if self.crowd.is_full() && self.heard.may_leave() {
            self.crowd.make_room();
        }
    }

    /// Whether the connection is to end, now that there is nothing to read.
    pub fn leaves(&self, context: &Context<'_>) -> bool {
        let mut kept = self.heard.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(context.waker())) {
            *kept = Some(context.waker().clone());
        }
        self.heard.leaving.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.here.borrow_mut().remove(&self.number);
        if self.heard.leaving.get() {
            self.crowd.one_leaves_no_more();
        }
    }
}
