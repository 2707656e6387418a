//! The thread that owns the model.
//!
//! Callers hand their jobs over a channel and wait. So the model and its cache need no lock, the number of threads
//! that compute is configured and not the number of callers, and jobs that several callers ask for while a pass is
//! running go into the next one together. A lock held around a `rayon` pool would also deadlock if the callers
//! themselves were `rayon` tasks: a task that waits for a pool runs other tasks meanwhile, which would want the
//! lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rayon::ThreadPool;
use scaletot_core::guard::guarded;

use super::failure::Failure;
use super::model::{Job, Llama, Work};
use crate::question::Question;

/// The largest number of jobs that waiting requests are joined to; a single larger request is still one batch.
const JOINED_JOBS: usize = 4_096;

struct Request {
    jobs: Vec<Job>,
    reply: Sender<Result<Vec<Vec<f64>>, Failure>>,
    /// Whether nobody waits for the reply any more.
    left: Arc<AtomicBool>,
}

/// A running model.
#[derive(Debug)]
pub(super) struct Worker {
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    work: Arc<Mutex<Work>>,
}

impl Worker {
    /// Starts the thread. `pool` is what computes.
    pub(super) fn start(model: Llama, pool: ThreadPool) -> Result<Self, Failure> {
        let (requests, incoming) = channel();
        let work = Arc::default();
        let shared = Arc::clone(&work);
        let thread = std::thread::Builder::new()
            .name("gguf model".to_owned())
            .spawn(move || serve(model, &pool, &incoming, &shared))
            .map_err(Failure::of("the model's thread could not be started"))?;
        Ok(Self { requests: Some(requests), thread: Some(thread), work })
    }

    /// Scores jobs; waits for the result, or until it is `stopped`, and there is none.
    pub(super) fn score(
        &self,
        jobs: Vec<Job>,
        stopped: impl Fn() -> bool,
    ) -> Result<Option<Vec<Vec<f64>>>, Failure> {
        let ended = || Failure::from("the model's thread has ended, after a failure of an earlier question");
        let (reply, answer) = channel();
        let left = Arc::new(AtomicBool::new(false));
        let request = Request { jobs, reply, left: Arc::clone(&left) };
        self.requests.as_ref().ok_or_else(ended)?.send(request).map_err(|_| ended())?;
        loop {
            match answer.recv_timeout(Question::STOP_INTERVAL) {
                Ok(scores) => return scores.map(Some),
                Err(RecvTimeoutError::Timeout) if stopped() => {
                    left.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }

    /// What was computed so far.
    pub(super) fn work(&self) -> Work {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The channel's end is what the thread waits for.
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been answered to whoever asked.
            let _ = thread.join();
        }
    }
}

fn serve(mut model: Llama, pool: &ThreadPool, incoming: &Receiver<Request>, work: &Mutex<Work>) {
    while let Ok(first) = incoming.recv() {
        let mut jobs = first.jobs;
        let mut replies = vec![(jobs.len(), first.reply)];
        let mut left = vec![first.left];
        while jobs.len() < JOINED_JOBS
            && let Ok(more) = incoming.try_recv()
        {
            replies.push((more.jobs.len(), more.reply));
            left.push(more.left);
            jobs.extend(more.jobs);
        }
        let stopped = || left.iter().all(|left| left.load(Ordering::Relaxed));
        let scores = guarded(|| pool.install(|| model.score(&jobs, &stopped)));
        *work.lock().unwrap_or_else(PoisonError::into_inner) = model.work;
        // After a panic the model is half changed.
        let broken = scores.is_err();
        let scores = scores.map_err(Failure::of("the model's computation failed")).flatten();
        let mut scores = scores.map(Vec::into_iter);
        for (count, reply) in replies {
            let part = match &mut scores {
                Ok(scores) => Ok(scores.by_ref().take(count).collect()),
                Err(failure) => Err(failure.clone()),
            };
            // A caller that no longer waits has no use for it.
            let _ = reply.send(part);
        }
        if broken {
            return;
        }
    }
}
