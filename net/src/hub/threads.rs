//! The threads of peers. A thread whose peer has gone serves the next one: a build connects anew for each job, and to
//! start and end a thread costs more than anything else that is done for a connection.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};

/// How long a thread without a peer waits for one. Within a build peers come faster; an idle hub keeps no such thread.
const SPARE_WAIT: Duration = Duration::from_secs(1);

/// What a thread does for a peer, from its beginning to its end.
type Service = Box<dyn FnOnce() + Send>;

/// Starts services, on threads that have ended one or on new ones. When it is dropped, threads without a peer end.
#[derive(Debug)]
pub(super) struct Threads {
    /// Without capacity, so that a service is taken by a waiting thread or not at all.
    sender: Sender<Service>,
    receiver: Receiver<Service>,
    /// Stack size of a thread in bytes.
    stack: usize,
}

impl Threads {
    /// None yet.
    pub(super) fn new(stack: usize) -> Self {
        let (sender, receiver) = channel::bounded(0);
        Self { sender, receiver, stack }
    }

    /// Starts a service.
    ///
    /// # Errors
    /// If no thread waits and none can be started. Then the service is dropped.
    pub(super) fn start(&self, service: Service) -> io::Result<()> {
        let Err(TrySendError::Full(service) | TrySendError::Disconnected(service)) = self.sender.try_send(service)
        else {
            return Ok(());
        };
        let receiver = self.receiver.clone();
        let run = move || {
            service();
            while let Ok(service) = receiver.recv_timeout(SPARE_WAIT) {
                service();
            }
        };
        thread::Builder::new().name("peer".into()).stack_size(self.stack).spawn(run).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: usize = 64 * 1024;

    #[test]
    fn a_thread_that_is_free_does_the_next_service() {
        let threads = Threads::new(STACK);
        let (tell, told) = channel::unbounded();
        let start = |end: Option<Receiver<()>>| {
            let tell = tell.clone();
            let service = move || {
                tell.send(thread::current().id()).unwrap();
                end.iter().for_each(|end| end.recv().unwrap());
            };
            threads.start(Box::new(service)).unwrap();
            told.recv().unwrap()
        };
        let (end, ended) = channel::bounded(0);
        let busy = start(Some(ended));
        // A thread is free a moment after its service has ended; the busy one never is.
        let mut free = Vec::new();
        loop {
            let id = start(None);
            assert_ne!(id, busy);
            if free.contains(&id) {
                break;
            }
            free.push(id);
        }
        end.send(()).unwrap();
    }

    #[test]
    fn a_service_without_thread_is_dropped() {
        let (kept, dropped) = channel::bounded::<()>(0);
        // No address space has room for such a stack.
        assert!(Threads::new(usize::MAX / 4).start(Box::new(move || drop(kept))).is_err());
        assert_eq!(dropped.try_recv(), Err(channel::TryRecvError::Disconnected));
    }
}
