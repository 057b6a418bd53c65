//! What the loop tells a connection's own thread while that thread leads a dialogue (decision: peer-thread).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crossbeam::channel::{Receiver, Sender, TryRecvError, unbounded};
use ice_core::daemon::Grant;
use ice_core::env::EnvId;
use ice_core::ids::PeerId;
use ice_net::wake::{self, Waker, Wakeup};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;

/// One order. A connection gets at most two: what to do, and perhaps to stop it.
#[derive(Debug)]
pub enum Order {
    /// Run the job.
    Run(Box<Grant>),
    /// Receive and unpack this environment, which may take so many bytes.
    Receive(EnvId, u64),
    /// Install what was unpacked as this.
    Install(EnvId),
    /// Read the archive and throw it away, or what was unpacked.
    Discard,
    /// End the job at once.
    Kill,
}

/// The letter boxes of all threads that wait for orders.
#[derive(Debug, Default)]
pub struct Orders {
    boxes: Mutex<BTreeMap<PeerId, (Sender<Order>, Waker)>>,
}

/// A thread's own end.
#[derive(Debug)]
pub struct Mailbox {
    orders: Receiver<Order>,
    wakeup: Wakeup,
}

/// What is in a mailbox.
#[derive(Debug)]
pub enum Mail {
    /// An order.
    Order(Order),
    /// Nothing yet.
    Nothing,
    /// The loop has closed the connection: none will come.
    Gone,
}

impl Orders {
    /// Opens a mailbox for `peer`. To be done before the loop can hear of what the order is for.
    pub fn register(&self, peer: PeerId) -> io::Result<Mailbox> {
        let (waker, wakeup) = wake::pair()?;
        // Never more than two orders wait in it.
        let (sender, orders) = unbounded();
        self.boxes.lock().insert(peer, (sender, waker));
        Ok(Mailbox { orders, wakeup })
    }

    /// Gives an order; dropped if the thread has ended.
    pub fn give(&self, peer: PeerId, order: Order) {
        if let Some((sender, waker)) = self.boxes.lock().get(&peer) {
            let _ = sender.send(order);
            waker.wake();
        }
    }

    /// The connection ends: its thread learns it.
    pub fn forget(&self, peer: PeerId) {
        self.boxes.lock().remove(&peer);
    }
}

impl Mailbox {
    /// Looks without waiting. To wait, poll the mailbox for reading.
    pub fn look(&self) -> Mail {
        self.wakeup.clear();
        match self.orders.try_recv() {
            Ok(order) => Mail::Order(order),
            Err(TryRecvError::Empty) => Mail::Nothing,
            Err(TryRecvError::Disconnected) => Mail::Gone,
        }
    }

    /// Waits for an order that the loop gives at once; `None` if it closes the connection.
    pub fn wait(&self) -> Option<Order> {
        loop {
            match self.look() {
                Mail::Order(order) => return Some(order),
                Mail::Gone => return None,
                Mail::Nothing => {}
            }
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::NONE).is_err_and(|e| e != Errno::EINTR) {
                return None;
            }
        }
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }
}
