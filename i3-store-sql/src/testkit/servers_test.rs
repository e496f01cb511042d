//! What the throwaway servers promise.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Durable, ServerError};

type Tested = Result<(), Box<dyn Error>>;

/// Set for the child that [`a_killed_process_leaves_nothing_behind`] starts.
const CHILD: &str = "I3_TESTKIT_SERVER_CHILD";

/// Whether a process runs; one that only waits to be collected does not.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.lines().any(|line| line.starts_with("State:") && line.contains('Z')))
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_mins(5), "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts this test again as a child, which starts a server with `serve`, says its process and folder, and
/// waits; kills the child, and waits for the server to be gone.
fn a_killed_process_leaves_nothing_behind(test: &str, serve: impl Fn() -> Option<(u32, PathBuf)>) -> Tested {
    if std::env::var_os(CHILD).is_some() {
        match serve() {
            Some((pid, folder)) => println!("\nserver {pid} {}", folder.display()),
            None => println!("\nserver is not installed"),
        }
        std::thread::sleep(Duration::from_mins(10));
        return Ok(());
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let told = lines.find_map(|line| line.strip_prefix("server ").map(str::to_owned)).ok_or("no server")?;
    let Some((Ok(pid), folder)) = told.split_once(' ').map(|(pid, rest)| (pid.parse(), PathBuf::from(rest)))
    else {
        child.kill()?;
        child.wait()?;
        return Ok(());
    };
    assert!(runs(pid) && folder.exists());
    child.kill()?;
    child.wait()?;
    until("the server is gone", || !runs(pid));
    until("its folder is gone", || !folder.exists());
    Ok(())
}

macro_rules! tests_of {
    ($product:ident, $server:ident, $own:ident) => {
        mod $product {
            use super::super::{$own, $server};
            use super::*;

            fn folder(server: &$server) -> PathBuf {
                server.folder().map(Path::to_path_buf).unwrap()
            }

            #[test]
            fn a_database_is_empty_each_time_it_is_made_and_survives_a_killed_server() -> Tested {
                let name = concat!(stringify!($product), ": databases and kills");
                let Some(server) = $own(name, Durable::Yes)? else { return Ok(()) };
                let url = server.database("first")?;
                assert!(url.contains("i3_test_first"), "{url}");
                let connected = $server::existing(&url)?;
                connected.execute("CREATE TABLE t(a BIGINT)")?;
                connected.execute("INSERT INTO t VALUES (1)")?;
                assert!(matches!(connected.kill(), Err(ServerError::NotOurs)));

                let before = server.pid().unwrap();
                server.kill()?;
                assert!(!runs(before) && server.pid().is_none());
                assert!($server::existing(&url).is_err());
                server.restart()?;
                assert_ne!(server.pid(), Some(before));
                connected.execute("INSERT INTO t SELECT a FROM t")?;

                server.database("first")?;
                connected.execute("CREATE TABLE t(a BIGINT)")?;
                let refused = connected.execute("CREATE TABLE t(a BIGINT)");
                assert!(matches!(refused, Err(ServerError::Refused(_))));
                let (folder, pid) = (folder(&server), server.pid().unwrap());
                drop(server);
                assert!(!folder.exists() && !runs(pid));
                Ok(())
            }

            #[test]
            fn a_killed_process_leaves_no_server_behind() -> Tested {
                let path = concat!(
                    "testkit::servers_test::",
                    stringify!($product),
                    "::a_killed_process_leaves_no_server_behind"
                );
                let kept = std::cell::RefCell::new(None);
                a_killed_process_leaves_nothing_behind(path, || {
                    let server = $own("a killed process", Durable::No).unwrap()?;
                    let told = (server.pid()?, folder(&server));
                    *kept.borrow_mut() = Some(server);
                    Some(told)
                })
            }
        }
    };
}

#[cfg(feature = "mysql")]
tests_of!(mariadb, Mariadb, own_mariadb_or_skip);
#[cfg(feature = "postgres")]
tests_of!(postgres, Postgres, own_postgres_or_skip);
