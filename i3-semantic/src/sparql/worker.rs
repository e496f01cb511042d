//! The process that queries run in.
//!
//! It is the integrator's own program, started again with a hidden argument that calls [`run`]: it holds copies of
//! public graphs and nothing else, has no environment, opens no files or sockets, and takes what to do from its standard
//! input. Before each query it limits its own address space to what it has plus what the query may use, and its processor
//! time; who asked kills it when the time is up. Running out of memory ends it, which is what it is for.
//!
//! The limits need Linux. Elsewhere [`run`] refuses, and the endpoint is unavailable.
//!
//! Each message is a byte that says what it is, four bytes of length (little-endian), and so many bytes.

use super::{Admitted, AnswerFormat, MAX_ANSWER};
use oxigraph::io::{RdfFormat, RdfParser};
use oxigraph::sparql::SparqlEvaluator;
use oxigraph::store::Store;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Read, Write};
use std::thread;

/// Quads to add, as N-Quads, after the number of the graph.
pub(super) const ADD: u8 = b'+';
/// Quads to remove, as N-Quads, after the number of the graph.
pub(super) const REMOVE: u8 = b'-';
/// "Have you done all this?"
pub(super) const READY: u8 = b'~';
/// A query: the number of the graph, its format, memory in bytes and time in seconds (eight bytes each), and text.
pub(super) const QUERY: u8 = b'?';
/// An answer, or "ready".
pub(super) const ANSWER: u8 = b'=';
/// No answer: why, and words.
pub(super) const FAILED: u8 = b'!';

/// The answer would be longer than [`MAX_ANSWER`].
pub(super) const TOO_LARGE: u8 = 1;
/// The query cannot be evaluated.
pub(super) const EVALUATION: u8 = 2;

/// Longest message, beside the answer's.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// Room for plans of queries; address space, not memory.
const STACK: usize = 64 * 1024 * 1024;

/// Carries out what comes on `input`, until it ends.
///
/// # Errors
///
/// Those of the pipes, a message that makes no sense, or a system without limits.
pub fn run(input: impl Read + Send, output: impl Write + Send) -> io::Result<()> {
    limits::begin()?;
    thread::scope(|scope| {
        let work =
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || serve(input, output))?;
        work.join().unwrap_or_else(|_| Err(io::Error::other("the worker's thread panicked")))
    })
}

fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut stores = HashMap::new();
    while let Some((kind, payload)) = receive(&mut input, MAX_MESSAGE)? {
        if kind == READY {
            send(&mut output, ANSWER, &[])?;
            continue;
        }
        let (graph, payload) =
            payload.split_first().ok_or_else(|| io::Error::other("a message without its graph"))?;
        let store = match stores.entry(*graph) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(Store::new().map_err(io::Error::other)?),
        };
        match kind {
            ADD => store.extend(quads(payload)?).map_err(io::Error::other)?,
            REMOVE => {
                let mut transaction = store.start_transaction().map_err(io::Error::other)?;
                for quad in quads(payload)? {
                    transaction.remove(&quad);
                }
                transaction.commit().map_err(io::Error::other)?;
            }
            QUERY => {
                let (kind, reply) = match query(store, payload)? {
                    Ok(answer) => (ANSWER, answer),
                    Err((why, words)) => (FAILED, [&[why], words.as_bytes()].concat()),
                };
                send(&mut output, kind, &reply)?;
            }
            _ => return Err(io::Error::other("an unknown message")),
        }
    }
    Ok(())
}

fn quads(text: &[u8]) -> io::Result<Vec<oxigraph::model::Quad>> {
    RdfParser::from_format(RdfFormat::NQuads)
        .for_slice(text)
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)
}

/// The answer, or why there is none and words.
type Reply = Result<Vec<u8>, (u8, String)>;

fn query(store: &Store, payload: &[u8]) -> io::Result<Reply> {
    let nonsense = || io::Error::other("a query without its head");
    let (format, rest) = payload.split_first().ok_or_else(nonsense)?;
    let format = AnswerFormat::of_code(*format).ok_or_else(nonsense)?;
    let (memory, rest) = rest.split_first_chunk::<8>().ok_or_else(nonsense)?;
    let (seconds, text) = rest.split_first_chunk::<8>().ok_or_else(nonsense)?;
    let text = std::str::from_utf8(text).map_err(io::Error::other)?;
    // Looked through once more: whoever sends is trusted to have limits, not to have used them.
    let admitted = match Admitted::read(text) {
        Ok(admitted) => admitted,
        Err(refused) => return Ok(Err((EVALUATION, refused.to_string()))),
    };
    limits::set(u64::from_le_bytes(*memory), u64::from_le_bytes(*seconds))?;
    let answer = evaluate(store, &admitted, format);
    limits::lift()?;
    Ok(answer)
}

fn evaluate(store: &Store, admitted: &Admitted, format: AnswerFormat) -> Reply {
    let mut prepared = SparqlEvaluator::new().for_query(admitted.query().clone());
    prepared.dataset_mut().set_default_graph_as_union();
    let results = prepared.on_store(store).execute().map_err(|error| (EVALUATION, error.to_string()))?;
    let mut answer = Bounded(Vec::new());
    match format.write(results, &mut answer) {
        Ok(()) => Ok(answer.0),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge || answer.0.len() >= MAX_ANSWER => {
            Err((TOO_LARGE, String::new()))
        }
        Err(error) => Err((EVALUATION, error.to_string())),
    }
}

/// Takes [`MAX_ANSWER`] bytes.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_ANSWER.saturating_sub(self.0.len()).min(bytes.len());
        self.0.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if room < bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes one message.
pub(super) fn send(to: &mut impl Write, kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    to.write_all(&[kind])?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(payload)?;
    to.flush()
}

/// Reads one message; `None` at the end.
pub(super) fn receive(from: &mut impl Read, longest: usize) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut kind = [0; 1];
    if from.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let [kind] = kind;
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(io::Error::other)?;
    if length > longest {
        return Err(io::Error::other("a message is too long"));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Some((kind, payload)))
}

#[cfg(target_os = "linux")]
mod limits {
    use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
    use rustix::time::{ClockId, clock_gettime};
    use std::io;

    /// For as long as the process lives: no files are written, no core is dumped, others go first.
    pub(super) fn begin() -> io::Result<()> {
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none)?;
        setrlimit(Resource::Fsize, none)?;
        nice(10)?;
        Ok(())
    }

    /// For a query: so many bytes and seconds more than are used already.
    pub(super) fn set(memory: u64, seconds: u64) -> io::Result<()> {
        let pages: u64 = std::fs::read_to_string("/proc/self/statm")?
            .split_whitespace()
            .next()
            .and_then(|pages| pages.parse().ok())
            .ok_or_else(|| io::Error::other("the size of the process is not known"))?;
        let page = u64::try_from(rustix::param::page_size()).map_err(io::Error::other)?;
        let used = pages.saturating_mul(page);
        soft(Resource::As, Some(used.saturating_add(memory)))?;
        let spent = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).map_err(io::Error::other)?;
        // The clock of whoever asked comes first; this is for when there is nobody left to kill us.
        soft(Resource::Cpu, Some(spent.saturating_add(seconds).saturating_add(2)))
    }

    /// The copy of the graph may grow again.
    pub(super) fn lift() -> io::Result<()> {
        soft(Resource::As, None)?;
        soft(Resource::Cpu, None)
    }

    fn soft(resource: Resource, current: Option<u64>) -> io::Result<()> {
        let maximum = getrlimit(resource).maximum;
        let current = match (current, maximum) {
            (Some(current), Some(maximum)) => Some(current.min(maximum)),
            (Some(current), None) => Some(current),
            (None, maximum) => maximum,
        };
        Ok(setrlimit(resource, Rlimit { current, maximum })?)
    }
}

#[cfg(not(target_os = "linux"))]
mod limits {
    use std::io;

    pub(super) fn begin() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set(_memory: u64, _seconds: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn lift() -> io::Result<()> {
        Ok(())
    }
}
